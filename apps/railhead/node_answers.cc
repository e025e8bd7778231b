#include "apps/railhead/node_answers.h"

#include "lab/client/lab_client.h"
#include "src/base/text.h"
#include "src/os/unix_socket.h"

#include <algorithm>
#include <atomic>
#include <functional>
#include <thread>

#include <nlohmann/json.hpp>

namespace railhead::app {
namespace {

constexpr std::chrono::seconds kDeadline{5};
constexpr std::chrono::seconds kKubectlDeadline{20};
constexpr std::size_t kMaxStatus = 16 << 20;
constexpr std::size_t kAtOnce = 8;

// Where a reason stands: behind "error: ", else last. kubectl's own log comes before it, our
// commands' remedies behind.
std::string lastLine(const std::string& text) {
  std::string found;
  for (const auto line : split(text, '\n')) {
    const auto trimmed = trim(line);
    if (trimmed.starts_with("error: ")) return std::string(trimmed.substr(0, 400));
    if (!trimmed.empty() && !trimmed.starts_with("remedy: ")) found = trimmed.substr(0, 400);
  }
  return found;
}

// That no lab runs is something the environment lacks.
Error asLacking(Error error) {
  if (error.code == ErrorCode::kNotFound) error.code = ErrorCode::kEnvironment;
  return error;
}

bool wanted(const std::vector<std::string>& nodes, const std::string& node) {
  return nodes.empty() || std::find(nodes.begin(), nodes.end(), node) != nodes.end();
}

// Named nodes that nobody answers for are not left out in silence.
void addMissing(std::vector<NodeAnswer>& answers, const std::vector<std::string>& nodes,
                const std::string& problem) {
  for (const auto& node : nodes) {
    const bool there = std::any_of(answers.begin(), answers.end(),
                                   [&](const auto& answer) { return answer.node == node; });
    if (!there) answers.push_back({node, "", problem});
  }
}

// Fills every answer, some at once.
void askAll(std::vector<NodeAnswer>& answers, const std::function<void(std::size_t)>& ask) {
  std::atomic<std::size_t> next = 0;
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < std::min(kAtOnce, answers.size()); ++i) {
    threads.emplace_back([&] {
      for (std::size_t one = next++; one < answers.size(); one = next++) ask(one);
    });
  }
  for (auto& thread : threads) thread.join();
}

// What a finished command says; one whose check failed says it in its output.
void fill(NodeAnswer& answer, const os::ProcessResult& ran) {
  const bool told =
      ran.exitCode == 0 ||
      (ran.exitCode == static_cast<int>(ExitCode::kCheckFailed) && !ran.output.empty());
  if (told) {
    answer.json = ran.output;
    return;
  }
  answer.problem = lastLine(ran.errorOutput);
  if (answer.problem.empty()) answer.problem = "exit code " + std::to_string(ran.exitCode);
}

struct AgentPod {
  std::string name;
  std::string node;
};

Result<std::vector<AgentPod>> readPods(const std::string& output) {
  const auto json = nlohmann::json::parse(output, nullptr, false);
  const auto textAt = [](const nlohmann::json& from, const char* pointer) {
    const nlohmann::json::json_pointer at(pointer);
    return from.contains(at) && from[at].is_string() ? from[at].get<std::string>() : std::string();
  };
  if (!json.is_object() || !json.contains("items") || !json["items"].is_array()) {
    return Error(ErrorCode::kCorrupt, "kubectl get pods: its answer is no list");
  }
  std::vector<AgentPod> pods;
  for (const auto& item : json["items"]) {
    AgentPod pod{textAt(item, "/metadata/name"), textAt(item, "/spec/nodeName")};
    if (!pod.name.empty() && !pod.node.empty()) pods.push_back(std::move(pod));
  }
  std::sort(pods.begin(), pods.end(), [](const auto& a, const auto& b) { return a.node < b.node; });
  return pods;
}

Result<std::vector<AgentPod>> findPods(os::ProcessRunner& processes,
                                       const ClusterOptions& options) {
  os::ProcessSpec spec;
  spec.argv = {
      options.kubectl,  "get",      "pods", "--namespace", options.podNamespace, "--selector",
      options.selector, "--output", "json"};
  spec.deadline = kKubectlDeadline;
  spec.maxOutput = 64 << 20;
  auto ran = processes.run(spec);
  if (!ran.has_value()) {
    Error error = std::move(ran).error();
    if (error.code == ErrorCode::kNotFound) error.code = ErrorCode::kEnvironment;
    return std::move(error).withRemedy("install kubectl, or name it with --kubectl");
  }
  if (ran->exitCode != 0) {
    const std::string reason = lastLine(ran->errorOutput);
    return Error(ErrorCode::kEnvironment,
                 "kubectl get pods: " +
                     (reason.empty() ? "exit code " + std::to_string(ran->exitCode) : reason),
                 "check that kubectl reaches the cluster and may list pods and exec in them");
  }
  RAILHEAD_TRY_ASSIGN(auto pods, readPods(ran->output));
  if (pods.empty()) {
    return Error(ErrorCode::kEnvironment,
                 "no pod in namespace " + inQuotes(options.podNamespace) + " has the labels " +
                     inQuotes(options.selector),
                 "name the agents' namespace and labels with --namespace and --selector");
  }
  return pods;
}

}  // namespace

Result<std::vector<NodeAnswer>> askThisNode(const os::HostPaths& paths) {
  const auto deadline = std::chrono::steady_clock::now() + kDeadline;
  const auto answer = [&]() -> Result<std::string> {
    RAILHEAD_TRY_ASSIGN(const auto socket, os::connectUnix(paths.statusSocket(), deadline));
    return os::receiveFrame(socket.get(), deadline, kMaxStatus);
  }();
  if (!answer.has_value()) {
    return Error(ErrorCode::kEnvironment, "no agent answers: " + answer.error().message,
                 "run this on a node with an agent (as root), or ask all of them with --cluster, "
                 "or an emulated cluster with --lab NAME");
  }
  return std::vector<NodeAnswer>{{"", *answer, ""}};
}

Result<std::vector<NodeAnswer>> askLab(const std::string& lab,
                                       const std::vector<std::string>& nodes,
                                       const std::vector<std::string>& command) {
  auto client = lab::LabClient::connect(lab);
  if (!client.has_value()) return asLacking(std::move(client).error());
  RAILHEAD_TRY_ASSIGN(const auto status, client->status());
  std::vector<NodeAnswer> answers;
  for (const auto& node : status.nodes) {
    if (wanted(nodes, node.name)) answers.push_back({node.name, "", ""});
  }
  askAll(answers, [&](std::size_t i) {
    const auto ran = client->exec(answers[i].node, command);
    if (!ran.has_value()) {
      answers[i].problem = ran.error().message;
    } else {
      fill(answers[i], {ran->exitCode, ran->output, ran->errorOutput});
    }
  });
  addMissing(answers, nodes, "the lab has no node of this name");
  return answers;
}

Result<std::vector<NodeAnswer>> askCluster(os::ProcessRunner& processes,
                                           const ClusterOptions& options,
                                           const std::vector<std::string>& command) {
  RAILHEAD_TRY_ASSIGN(const auto pods, findPods(processes, options));
  std::vector<NodeAnswer> answers;
  std::vector<std::string> names;
  for (const auto& pod : pods) {
    if (!wanted(options.nodes, pod.node)) continue;
    answers.push_back({pod.node, "", ""});
    names.push_back(pod.name);
  }
  askAll(answers, [&](std::size_t i) {
    os::ProcessSpec spec;
    spec.argv = {options.kubectl, "exec", "--namespace", options.podNamespace, names[i], "--"};
    spec.argv.insert(spec.argv.end(), command.begin(), command.end());
    spec.deadline = kKubectlDeadline;
    spec.maxOutput = kMaxStatus;
    const auto ran = processes.run(spec);
    if (!ran.has_value()) {
      answers[i].problem = ran.error().message;
    } else {
      fill(answers[i], *ran);
    }
  });
  addMissing(answers, options.nodes, "no agent's pod runs there");
  return answers;
}

}  // namespace railhead::app
