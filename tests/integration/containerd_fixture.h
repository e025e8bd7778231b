// Two emulated nodes with containerd, the kubelet stand-in and the agent: one lab for all cases of
// a program. Each case leaves the nodes as it found them: links, addresses, rules, routes,
// namespaces, mounts, files, cgroups, processes.
#pragma once

#include "lab/demo/measure.h"
#include "lab/demo/node_shell.h"
#include "lab/topology/topology.h"
#include "src/base/result.h"
#include "tests/integration/lab_fixture.h"

#include <array>
#include <chrono>
#include <future>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace railhead::lab {

inline constexpr std::size_t kNodes = 2;
inline constexpr const char* kScript = "/tmp/containerd_node.sh";  // containerd_node.sh there

double since(std::chrono::steady_clock::time_point begun);  // seconds
double median(std::vector<double> values);
// A pod for the kubelet stand-in; with rails, it asks for them as the reference pods do.
std::string podSpecification(const std::string& name, bool rails);

// Pods are specified in /tmp/pods: p0 to p4 with rails, plain without.
class LabContainerd : public testing::Test {
 public:
  static void SetUpTestSuite();
  static void TearDownTestSuite();

  static NodeShell shell(std::size_t node);
  static Result<std::string> run(std::size_t node, const std::vector<std::string>& argv,
                                 std::chrono::seconds deadline = std::chrono::seconds(120));
  // What it printed, or why it failed.
  static std::string ask(std::size_t node, const std::vector<std::string>& argv);
  static Result<std::string> runPod(std::size_t node, const std::string& name);
  static std::string deletePod(std::size_t node, const std::string& name);  // empty: done
  static std::string inPod(std::size_t node, const std::string& pod,
                           std::vector<std::string> command);

  // On both nodes at the same time.
  template <typename Function>
  static testing::AssertionResult onEachNode(const Function& work) {
    std::vector<std::future<Result<void>>> running;
    for (std::size_t i = 0; i < kNodes; ++i) {
      running.push_back(
          std::async(std::launch::async, [&work, i]() -> Result<void> { return work(i); }));
    }
    auto all = testing::AssertionSuccess();
    for (auto& one : running) {
      const auto done = one.get();
      if (!done.has_value()) all = testing::AssertionFailure() << done.error().describe();
    }
    return all;
  }

  // Where measurements of a pod begin or end. `made`: what run-pod printed.
  static Result<PodEnd> endOf(std::size_t node, const std::string& name, const std::string& made);
  static const Topology& topology() { return *topology_; }

 protected:
  void SetUp() override;
  void TearDown() override;

  // Of a sandbox whose processes were killed behind its back containerd 2.1 was seen to keep the
  // shim, a process of its own with a socket, when it removed the sandbox. Neither holds anything
  // of the pod: its cgroup, mounts and namespaces are looked for all the same.
  void letShimsStay() { shimsMayStay_ = true; }

 private:
  static Result<void> prepare(std::size_t node);
  static std::string picture(std::size_t node);
  std::string difference(std::size_t node) const;
  std::multiset<std::string> watchedLines(const std::string& picture) const;

  static Topology* topology_;
  static BoundLab* lab_;
  static bool ready_;
  std::array<std::string, kNodes> before_;
  bool shimsMayStay_ = false;
};

}  // namespace railhead::lab
