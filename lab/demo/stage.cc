#include "lab/demo/stage.h"

#include "lab/demo/node_setup.h"
#include "lab/demo/picture.h"
#include "lab/demo/scenario.h"

#include <future>

#include <nlohmann/json.hpp>

namespace railhead::lab {

Result<void> Stage::onEveryNode(const Step& step) const {
  std::vector<std::future<Result<void>>> running;
  for (std::size_t i = 0; i < topology_.nodes.size(); ++i) {
    running.push_back(std::async(std::launch::async, [&step, i] { return step(i); }));
  }
  Result<void> all;
  for (auto& one : running) {
    auto done = one.get();
    if (!done.has_value() && all.has_value()) all = std::move(done);
  }
  return all;
}

Result<void> Stage::startAgents() const {
  return onEveryNode([this](std::size_t i) -> Result<void> {
    const NodeShell node = shell(i);
    RAILHEAD_TRY(installFiles(node, topology_, i));
    RAILHEAD_TRY(startKubelet(node));
    return startAgent(node);
  });
}

Result<void> Stage::awaitRailSets() const {
  return onEveryNode([this](std::size_t i) {
    return awaitAllocatable(shell(i), topology_.nodes[i].pfs.front().vfs);
  });
}

Result<StagedNode> Stage::look(std::size_t index, const std::string& podJson) const {
  const std::string& name = topology_.nodes[index].name;
  RAILHEAD_TRY_ASSIGN(const std::string agent, shell(index).run({"railhead-agent", "status"}));
  RAILHEAD_TRY_ASSIGN(const std::string kubelet,
                      shell(index).run({"railhead-lab-kubelet", "status"}));
  StagedNode out;
  RAILHEAD_TRY_ASSIGN(out.node, nodePicture(name, agent, kubelet));
  RAILHEAD_TRY_ASSIGN(out.pod, podPicture(name, kDemoNamespace, podName(index), agent, podJson));
  if (out.pod.interfaces.size() != railsPerSet(topology_)) {
    return Error(ErrorCode::kCheckFailed, name + ": pod " + out.pod.fullName() + " has " +
                                              std::to_string(out.pod.interfaces.size()) +
                                              " rails, expected " +
                                              std::to_string(railsPerSet(topology_)));
  }
  placePod(out.node, out.pod);
  return out;
}

Result<std::string> Stage::podThere(std::size_t index) const {
  RAILHEAD_TRY_ASSIGN(const std::string status,
                      shell(index).run({"railhead-lab-kubelet", "status"}));
  const auto json = nlohmann::json::parse(status, nullptr, false);
  if (!json.is_object() || !json.contains("pods")) return std::string();
  for (const auto& pod : json["pods"]) {
    if (pod.value("name", "") == podName(index) && pod.value("namespace", "") == kDemoNamespace) {
      return pod.dump();
    }
  }
  return std::string();
}

Result<std::vector<StagedNode>> Stage::attachPods() const {
  std::vector<std::string> made(topology_.nodes.size());
  RAILHEAD_TRY(onEveryNode([this, &made](std::size_t i) -> Result<void> {
    RAILHEAD_TRY_ASSIGN(made[i], podThere(i));
    if (!made[i].empty()) return {};
    RAILHEAD_TRY_ASSIGN(made[i], runPod(shell(i), i));
    return {};
  }));
  std::vector<StagedNode> out;
  for (std::size_t i = 0; i < made.size(); ++i) {
    RAILHEAD_TRY_ASSIGN(auto staged, look(i, made[i]));
    out.push_back(std::move(staged));
  }
  return out;
}

Result<std::vector<StagedNode>> Stage::prepare() const {
  if (!shell(std::size_t{0}).run({"pidof", "railhead-agent"}).has_value()) {
    RAILHEAD_TRY(startAgents());
    RAILHEAD_TRY(awaitRailSets());
  }
  return attachPods();
}

}  // namespace railhead::lab
