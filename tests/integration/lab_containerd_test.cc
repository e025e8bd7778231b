// Pods made by a real containerd on two emulated nodes, with eth0 from the bridge plugin and the
// rails from us, chained behind it. One lab for all cases; each leaves the nodes as it found them:
// links, addresses, rules, routes, namespaces, mounts, files, cgroups, snapshots, processes.
//
// RAILHEAD_LAB_CYCLES and RAILHEAD_LAB_KILL_CYCLES say how often pods are created and deleted, and
// killed without DEL, on both nodes together. The defaults are a short form.
#include "lab/demo/measure.h"
#include "lab/demo/node_setup.h"
#include "lab/demo/picture.h"
#include "lab/demo/scenario.h"
#include "src/base/text.h"
#include "tests/integration/lab_fixture.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <future>
#include <map>
#include <set>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace railhead::lab {
namespace {

using Json = nlohmann::json;
using testing::HasSubstr;

constexpr std::size_t kNodes = 2;
constexpr const char* kScript = "/tmp/containerd_node.sh";

double since(std::chrono::steady_clock::time_point begun) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
}

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

int count(const char* variable, int otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::max(0, std::atoi(text));
}

std::string spec(const std::string& name, bool rails) {
  Json pod{{"name", name}};
  if (rails) {
    pod["annotations"] = {{"k8s.v1.cni.cncf.io/networks", kDemoNetwork}};
    pod["resources"] = {{kDemoResource, 1}};
    pod["capabilities"] = {"IPC_LOCK"};
  }
  return pod.dump();
}

class LabContainerd : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    topology_ = new Topology(*loadTopology("two-sparks"));
    const auto begun = std::chrono::steady_clock::now();
    auto lab = BoundLab::start(*topology_, labOptions("containerd"));
    ASSERT_TRUE(lab.has_value()) << lab.error().describe();
    lab_ = new BoundLab(std::move(*lab));
    std::printf("nodes up after %.1f s\n", since(begun));
    std::stringstream script;
    script << std::ifstream(RAILHEAD_SOURCE_DIR "/tests/integration/containerd_node.sh").rdbuf();
    ASSERT_TRUE(onEachNode([&](std::size_t i) -> Result<void> {
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
        RAILHEAD_TRY(node.writeFile("/tmp/pods/" + name + ".json", spec(name, true)));
      }
      return node.writeFile("/tmp/pods/plain.json", spec("plain", false));
    }));
    std::printf("containerd, agent and kubelet ready after %.1f s\n", since(begun));
    // The first pod makes what stays: the bridge, the address file of host-local.
    ASSERT_TRUE(onEachNode([&](std::size_t i) -> Result<void> {
      RAILHEAD_TRY(run(i, {"railhead-lab-kubelet", "run-pod", "/tmp/pods/plain.json"}));
      RAILHEAD_TRY(run(i, {"railhead-lab-kubelet", "delete-pod", "plain"}));
      return {};
    }));
    std::printf("first pods run and gone after %.1f s\n", since(begun));
    std::fflush(stdout);
    ready_ = true;
  }
  static void TearDownTestSuite() {
    delete lab_;
    delete topology_;
    lab_ = nullptr;
  }

  void SetUp() override {
    ASSERT_TRUE(ready_) << "the lab did not start";
    for (std::size_t i = 0; i < kNodes; ++i) before_[i] = picture(i);
    ASSERT_THAT(before_[0], HasSubstr("link enp1s0f0np0 "));
  }
  void TearDown() override {
    if (!ready_) return;
    for (std::size_t i = 0; i < kNodes; ++i) EXPECT_EQ(difference(i), "") << "on node " << i;
    if (HasFailure()) {
      for (const char* daemon : {"agent", "containerd", "kubelet"}) {
        std::printf("--- %s\n%s\n", daemon, join(shell(0).lastLines(daemon, 12), "\n").c_str());
      }
    }
  }

  static NodeShell shell(std::size_t node) { return {lab_->client(), topology_->nodes[node].name}; }
  static Result<std::string> run(std::size_t node, const std::vector<std::string>& argv,
                                 std::chrono::seconds deadline = std::chrono::seconds(120)) {
    return shell(node).run(argv, {}, deadline);
  }
  static std::string ask(std::size_t node, const std::vector<std::string>& argv) {
    auto answer = run(node, argv);
    return answer.has_value() ? *answer : "failed: " + answer.error().message;
  }
  static Result<std::string> runPod(std::size_t node, const std::string& name) {
    return run(node, {"railhead-lab-kubelet", "run-pod", "/tmp/pods/" + name + ".json"});
  }
  static std::string deletePod(std::size_t node, const std::string& name) {
    return ask(node, {"railhead-lab-kubelet", "delete-pod", name});
  }
  static std::string inPod(std::size_t node, const std::string& pod,
                           std::vector<std::string> command) {
    command.insert(command.begin(), {"railhead-lab-kubelet", "exec", pod, "--"});
    return ask(node, command);
  }

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

  static std::string picture(std::size_t node) { return ask(node, {"sh", kScript, "picture"}); }

  // Lines that came and went since SetUp(). The runtime reaps shims a little later than it answers,
  // so it is looked at for up to 60 s. Its snapshots, which it collects when it likes, are not
  // ours.
  std::string difference(std::size_t node) const {
    const auto begun = std::chrono::steady_clock::now();
    for (;;) {
      const std::string now = picture(node);
      if (now == before_[node]) return {};
      if (since(begun) < 60) continue;
      const auto lines = [](const std::string& text) {
        std::multiset<std::string> all;
        for (const auto line : split(text, '\n')) all.emplace(line);
        return all;
      };
      const auto was = lines(before_[node]);
      const auto is = lines(now);
      std::vector<std::string> gone;
      std::vector<std::string> come;
      std::set_difference(was.begin(), was.end(), is.begin(), is.end(), std::back_inserter(gone));
      std::set_difference(is.begin(), is.end(), was.begin(), was.end(), std::back_inserter(come));
      std::string text;
      for (const auto& line : gone) text += "- " + line + "\n";
      for (const auto& line : come) text += "+ " + line + "\n";
      return text.empty() ? "the same lines in another order" : text;
    }
  }

  static Result<PodEnd> endOf(std::size_t node, const std::string& name, const std::string& made) {
    RAILHEAD_TRY_ASSIGN(const std::string agent, run(node, {"railhead-agent", "status"}));
    RAILHEAD_TRY_ASSIGN(report::Pod pod,
                        podPicture(topology_->nodes[node].name, kDemoNamespace, name, agent, made));
    return PodEnd{shell(node), std::move(pod)};
  }

  static Topology* topology_;
  static BoundLab* lab_;
  static bool ready_;
  std::array<std::string, kNodes> before_;
};

Topology* LabContainerd::topology_ = nullptr;
BoundLab* LabContainerd::lab_ = nullptr;
bool LabContainerd::ready_ = false;

TEST_F(LabContainerd, ReferencePodsReachEachOtherOverBothRails) {
  std::array<std::string, kNodes> made;
  ASSERT_TRUE(onEachNode([&](std::size_t i) -> Result<void> {
    RAILHEAD_TRY_ASSIGN(made[i], runPod(i, "p0"));
    return {};
  }));
  const Json pod = Json::parse(made[0], nullptr, false);
  ASSERT_TRUE(pod.is_object()) << made[0];
  std::set<std::string> interfaces;
  for (const auto& one : pod["cni"]["interfaces"]) interfaces.insert(one.value("name", ""));
  for (const char* name : {"eth0", "net1", "net2"}) EXPECT_TRUE(interfaces.contains(name)) << name;

  const std::string addresses = inPod(0, "p0", {"ip", "-br", "addr"});
  EXPECT_THAT(addresses, HasSubstr("10.244.0."));
  EXPECT_THAT(addresses, HasSubstr("10.100.0."));
  EXPECT_THAT(addresses, HasSubstr("10.100.1."));
  EXPECT_THAT(inPod(0, "p0", {"ls", "/dev/infiniband"}), HasSubstr("uverbs"));
  // Nothing of the node's other devices: it is a container.
  EXPECT_THAT(inPod(0, "p0", {"ls", "/dev"}), testing::Not(HasSubstr("vda")));

  const auto from = endOf(0, "p0", made[0]);
  const auto to = endOf(1, "p0", made[1]);
  ASSERT_TRUE(from.has_value()) << from.error().message;
  ASSERT_TRUE(to.has_value()) << to.error().message;
  ASSERT_EQ(from->pod.interfaces.size(), 2U);
  report::Rdma rdma;
  const MeasurePlan plan{{topology_->links[0].rate, topology_->links[1].rate}, 3, 64 * 1024};
  const auto measured = measureRdma(*from, *to, plan, rdma);
  EXPECT_TRUE(measured.has_value()) << measured.error().describe();
  EXPECT_TRUE(rdma.verified);
  EXPECT_EQ(rdma.bytesWrong, 0U);
  EXPECT_GT(rdma.bytesChecked, 0U);
  std::printf("RDMA between containers: %llu bytes right, one rail %.4f Gbit/s, both %.4f Gbit/s\n",
              static_cast<unsigned long long>(rdma.bytesChecked), rdma.oneRailGbps.value_or(0),
              rdma.bothRailsGbps.value_or(0));
  for (std::size_t i = 0; i < kNodes; ++i) EXPECT_EQ(deletePod(i, "p0"), "");
}

TEST_F(LabContainerd, ACommandGetsItsEnvironmentAndDevicesAndItsLogIsKept) {
  Json pod = Json::parse(spec("says", true));
  pod["env"] = {{"NCCL_DEBUG", "INFO"}};
  pod["command"] = {"sh", "-c",
                    "echo $NCCL_DEBUG $PCIDEVICE_NVIDIA_COM_CX7_QSFP; ls /dev/infiniband; exit 7"};
  ASSERT_TRUE(shell(0).writeFile("/tmp/pods/says.json", pod.dump()).has_value());
  const auto made = runPod(0, "says");
  ASSERT_TRUE(made.has_value()) << made.error().message;
  Json code;
  for (int round = 0; round < 100 && code.is_null(); ++round) {
    const Json status = Json::parse(ask(0, {"railhead-lab-kubelet", "status"}), nullptr, false);
    ASSERT_TRUE(status.is_object());
    code = status["pods"][0]["exitCode"];
  }
  EXPECT_EQ(code, 7);
  const std::string log = ask(0, {"railhead-lab-kubelet", "logs", "says"});
  EXPECT_THAT(log, HasSubstr("INFO 0000:"));
  EXPECT_THAT(log, HasSubstr("\nuverbs"));
  EXPECT_EQ(deletePod(0, "says"), "");
  EXPECT_EQ(ask(0, {"rm", "/tmp/pods/says.json"}), "");
}

TEST_F(LabContainerd, FourPodsFillTheNodeAndTheFifthWaits) {
  for (int i = 0; i < 4; ++i) {
    const auto pod = runPod(0, "p" + std::to_string(i));
    ASSERT_TRUE(pod.has_value()) << pod.error().message;
  }
  std::printf("four pods: %s", ask(0, {"sh", "-c", "free -m | sed -n 2p"}).c_str());
  const auto fifth = runPod(0, "p4");
  ASSERT_FALSE(fifth.has_value());
  EXPECT_THAT(fifth.error().message, HasSubstr("waits"));
  EXPECT_EQ(deletePod(0, "p2"), "");
  const auto again = runPod(0, "p4");
  EXPECT_TRUE(again.has_value()) << again.error().message;
  for (const char* name : {"p0", "p1", "p3", "p4"}) EXPECT_EQ(deletePod(0, name), "");
}

TEST_F(LabContainerd, PodsWithoutARequestNeedNoAgentAndTheOthersWaitForIt) {
  const auto with = runPod(0, "plain");
  ASSERT_TRUE(with.has_value()) << with.error().message;
  EXPECT_EQ(deletePod(0, "plain"), "");

  ASSERT_TRUE(killAgent(shell(0)).has_value());
  const auto without = runPod(0, "plain");
  EXPECT_TRUE(without.has_value()) << without.error().message;
  const auto refused = runPod(0, "p0");
  ASSERT_FALSE(refused.has_value());
  // Without the device the request gets as far as the shim, and the runtime undoes the sandbox.
  Json asking = Json::parse(spec("asking", true));
  asking.erase("resources");
  ASSERT_TRUE(shell(0).writeFile("/tmp/pods/asking.json", asking.dump()).has_value());
  const auto unanswered = runPod(0, "asking");
  ASSERT_FALSE(unanswered.has_value());
  EXPECT_THAT(unanswered.error().message, HasSubstr("railhead"));
  std::printf("without agent: %s\n", unanswered.error().message.c_str());
  EXPECT_EQ(ask(0, {"rm", "/tmp/pods/asking.json"}), "");
  EXPECT_EQ(deletePod(0, "plain"), "");

  ASSERT_TRUE(startAgent(shell(0)).has_value());
  ASSERT_TRUE(awaitAllocatable(shell(0), 4).has_value());
  const auto again = runPod(0, "p0");
  EXPECT_TRUE(again.has_value()) << again.error().message;
  EXPECT_EQ(deletePod(0, "p0"), "");
}

TEST_F(LabContainerd, DelAfterTheNamespaceIsGoneSucceeds) {
  ASSERT_TRUE(runPod(0, "p0").has_value());
  EXPECT_EQ(ask(0, {"railhead-lab-kubelet", "delete-pod", "p0", "--netns-first"}), "");
}

// What RunPodSandbox takes with the primary network alone, with our shim passing a pod through, and
// with two rails. Figures are told, not judged: the machine may be busy.
TEST_F(LabContainerd, TimeOfASandboxWithAndWithoutOurPart) {
  const int rounds = std::max(1, count("RAILHEAD_LAB_TIMINGS", 1));
  const auto seconds = [](const std::string& name) -> double {
    const auto made = runPod(0, name);
    EXPECT_TRUE(made.has_value()) << made.error().message;
    EXPECT_EQ(deletePod(0, name), "");
    const Json pod = Json::parse(made.value_or(""), nullptr, false);
    return pod.is_object() ? pod["seconds"]["set_up"].get<double>() : 0;
  };
  std::vector<double> passing;
  std::vector<double> rails;
  for (int round = 0; round < rounds; ++round) {
    passing.push_back(seconds("plain"));
    rails.push_back(seconds("p0"));
  }
  const std::string conflist = "/etc/cni/net.d/00-railhead.conflist";
  const std::string kept = ask(0, {"cat", conflist});
  Json alone = Json::parse(kept);
  alone["plugins"].erase(1);
  alone["name"] = "alone";
  ASSERT_TRUE(shell(0).writeFile(conflist, alone.dump()).has_value());
  // The runtime notices a new configuration by itself, a little later: the name tells.
  std::vector<double> primary;
  for (int tries = 0; static_cast<int>(primary.size()) < rounds && tries < rounds + 5; ++tries) {
    const auto made = runPod(0, "plain");
    ASSERT_TRUE(made.has_value()) << made.error().message;
    const bool renewed =
        !ask(0, {"sh", "-c", "ls /var/lib/cni/results | grep ^alone- || true"}).empty();
    EXPECT_EQ(deletePod(0, "plain"), "");
    if (renewed) primary.push_back(Json::parse(*made)["seconds"]["set_up"].get<double>());
  }
  ASSERT_TRUE(shell(0).writeFile(conflist, kept).has_value());
  for (int tries = 0; tries < 5; ++tries) {
    ASSERT_TRUE(runPod(0, "plain").has_value());
    const bool old = !ask(0, {"sh", "-c", "ls /var/lib/cni/results | grep ^lab- || true"}).empty();
    EXPECT_EQ(deletePod(0, "plain"), "");
    if (old) break;
  }
  ask(0, {"rm", "-rf", "/var/lib/cni/networks/alone"});
  std::printf("RunPodSandbox, median of %d: primary %.2f s, passing through %.2f s, rails %.2f s\n",
              rounds, median(primary), median(passing), median(rails));
}

TEST_F(LabContainerd, CreatingAndDeletingLeavesNothing) {
  const int each = (count("RAILHEAD_LAB_CYCLES", 4) + 3) / 4;  // two pods on each of two nodes
  const auto begun = std::chrono::steady_clock::now();
  std::array<std::string, kNodes> said;
  EXPECT_TRUE(onEachNode([&](std::size_t i) -> Result<void> {
    RAILHEAD_TRY_ASSIGN(said[i], run(i, {"sh", kScript, "cycles", std::to_string(each), "p0", "p1"},
                                     std::chrono::seconds(60 + 60 * each)));
    return {};
  }));
  int done = 0;
  for (const auto& one : said) {
    for (const auto line : split(one, '\n')) {
      if (line == "done " + std::to_string(each)) done += each;
    }
  }
  EXPECT_EQ(done, 4 * each) << said[0] << said[1];
  std::printf("%d create/delete cycles in %.0f s\n", done, since(begun));
}

TEST_F(LabContainerd, KillingWithoutDelLeavesNothing) {
  const int each = (count("RAILHEAD_LAB_KILL_CYCLES", 2) + 1) / 2;
  const auto begun = std::chrono::steady_clock::now();
  std::array<std::string, kNodes> said;
  EXPECT_TRUE(onEachNode([&](std::size_t i) -> Result<void> {
    RAILHEAD_TRY_ASSIGN(said[i], run(i, {"sh", kScript, "kills", std::to_string(each), "p0"},
                                     std::chrono::seconds(60 + 60 * each)));
    return {};
  }));
  std::vector<double> home;
  for (const auto& one : said) {
    EXPECT_THAT(one, HasSubstr("done " + std::to_string(each)));
    for (const auto line : split(one, '\n')) {
      if (line.starts_with("home "))
        home.push_back(std::atof(std::string(line.substr(5)).c_str()) / 10);
    }
  }
  if (home.empty()) return;
  std::printf("%zu kills without DEL in %.0f s; VFs home after %.1f s (median), %.1f s at most\n",
              home.size(), since(begun), median(home), *std::max_element(home.begin(), home.end()));
}

}  // namespace
}  // namespace railhead::lab
