#include "tests/integration/containerd_fixture.h"

#include "lab/demo/node_setup.h"
#include "lab/demo/picture.h"
#include "lab/demo/scenario.h"
#include "src/base/text.h"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

namespace railhead::lab {

using Json = nlohmann::json;
using testing::HasSubstr;

double since(std::chrono::steady_clock::time_point begun) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
}

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

std::string podSpecification(const std::string& name, bool rails) {
  Json pod{{"name", name}};
  if (rails) {
    pod["annotations"] = {{"k8s.v1.cni.cncf.io/networks", kDemoNetwork}};
    pod["resources"] = {{kDemoResource, 1}};
    pod["capabilities"] = {"IPC_LOCK"};
  }
  return pod.dump();
}

Topology* LabContainerd::topology_ = nullptr;
BoundLab* LabContainerd::lab_ = nullptr;
bool LabContainerd::ready_ = false;

Result<void> LabContainerd::prepare(std::size_t i) {
  std::stringstream script;
  script << std::ifstream(RAILHEAD_SOURCE_DIR "/tests/integration/containerd_node.sh").rdbuf();
  const NodeShell node = shell(i);
  RAILHEAD_TRY(installFiles(node, *topology_, i));
  RAILHEAD_TRY(startContainerd(node, i));
  RAILHEAD_TRY(startKubelet(node, Runtime::kContainerd));
  RAILHEAD_TRY(startAgent(node));
  RAILHEAD_TRY(awaitAllocatable(node, 4));
  RAILHEAD_TRY(awaitContainerd(node));
  RAILHEAD_TRY(node.writeFile(kScript, script.str()));
  for (int pod = 0; pod < 5; ++pod) {
    const std::string name = "p" + std::to_string(pod);
    RAILHEAD_TRY(node.writeFile("/tmp/pods/" + name + ".json", podSpecification(name, true)));
  }
  RAILHEAD_TRY(node.writeFile("/tmp/pods/plain.json", podSpecification("plain", false)));
  // The first pod makes what stays: the bridge, the address file of host-local.
  RAILHEAD_TRY(runPod(i, "plain"));
  RAILHEAD_TRY(run(i, {"railhead-lab-kubelet", "delete-pod", "plain"}));
  return {};
}

void LabContainerd::SetUpTestSuite() {
  topology_ = new Topology(*loadTopology("two-sparks"));
  const auto begun = std::chrono::steady_clock::now();
  auto lab = BoundLab::start(*topology_, labOptions("containerd"));
  ASSERT_TRUE(lab.has_value()) << lab.error().describe();
  lab_ = new BoundLab(std::move(*lab));
  std::printf("nodes up after %.1f s\n", since(begun));
  ASSERT_TRUE(onEachNode([](std::size_t i) { return prepare(i); }));
  std::printf("first pods run and gone after %.1f s\n", since(begun));
  std::fflush(stdout);
  ready_ = true;
}

void LabContainerd::TearDownTestSuite() {
  delete lab_;
  delete topology_;
  lab_ = nullptr;
}

void LabContainerd::SetUp() {
  ASSERT_TRUE(ready_) << "the lab did not start";
  for (std::size_t i = 0; i < kNodes; ++i) before_[i] = picture(i);
  ASSERT_THAT(before_[0], HasSubstr("link enp1s0f0np0 "));
}

void LabContainerd::TearDown() {
  if (!ready_) return;
  for (std::size_t i = 0; i < kNodes; ++i) EXPECT_EQ(difference(i), "") << "on node " << i;
  if (!HasFailure()) return;
  for (std::size_t i = 0; i < kNodes; ++i) {
    for (const char* daemon : {"agent", "containerd", "kubelet"}) {
      std::printf("--- node %zu, %s\n%s\n", i, daemon,
                  join(shell(i).lastLines(daemon, 40), "\n").c_str());
    }
    std::printf("--- node %zu, processes\n%s\n", i, ask(i, {"ps"}).c_str());
  }
}

NodeShell LabContainerd::shell(std::size_t node) {
  return {lab_->client(), topology_->nodes[node].name};
}

Result<std::string> LabContainerd::run(std::size_t node, const std::vector<std::string>& argv,
                                       std::chrono::seconds deadline) {
  return shell(node).run(argv, {}, deadline);
}

std::string LabContainerd::ask(std::size_t node, const std::vector<std::string>& argv) {
  auto answer = run(node, argv);
  return answer.has_value() ? *answer : "failed: " + answer.error().message;
}

Result<std::string> LabContainerd::runPod(std::size_t node, const std::string& name) {
  return run(node, {"railhead-lab-kubelet", "run-pod", "/tmp/pods/" + name + ".json"});
}

std::string LabContainerd::deletePod(std::size_t node, const std::string& name) {
  return ask(node, {"railhead-lab-kubelet", "delete-pod", name});
}

std::string LabContainerd::inPod(std::size_t node, const std::string& pod,
                                 std::vector<std::string> command) {
  command.insert(command.begin(), {"railhead-lab-kubelet", "exec", pod, "--"});
  return ask(node, command);
}

std::string LabContainerd::picture(std::size_t node) {
  return ask(node, {"sh", kScript, "picture"});
}

// Lines that came and went since SetUp(). The runtime reaps shims a little later than it answers,
// so it is looked at for up to 60 s. Its snapshots, which it collects when it likes, are not ours.
std::string LabContainerd::difference(std::size_t node) const {
  const auto begun = std::chrono::steady_clock::now();
  for (;;) {
    const auto was = watchedLines(before_[node]);
    const auto is = watchedLines(picture(node));
    if (was == is) return {};
    if (since(begun) < 60) continue;
    std::vector<std::string> gone;
    std::vector<std::string> come;
    std::set_difference(was.begin(), was.end(), is.begin(), is.end(), std::back_inserter(gone));
    std::set_difference(is.begin(), is.end(), was.begin(), was.end(), std::back_inserter(come));
    std::string text;
    for (const auto& line : gone) text += "- " + line + "\n";
    for (const auto& line : come) text += "+ " + line + "\n";
    return text;
  }
}

std::multiset<std::string> LabContainerd::watchedLines(const std::string& picture) const {
  std::multiset<std::string> lines;
  for (const auto line : split(picture, '\n')) {
    const bool shims = line.starts_with("processes containerd-shim") ||
                       line.starts_with("file /run/containerd/s/");
    if (!shims || !shimsMayStay_) lines.emplace(line);
  }
  return lines;
}

Result<PodEnd> LabContainerd::endOf(std::size_t node, const std::string& name,
                                    const std::string& made) {
  RAILHEAD_TRY_ASSIGN(const std::string agent, run(node, {"railhead-agent", "status"}));
  RAILHEAD_TRY_ASSIGN(report::Pod pod,
                      podPicture(topology_->nodes[node].name, kDemoNamespace, name, agent, made));
  return PodEnd{shell(node), std::move(pod)};
}

}  // namespace railhead::lab
