// Pods made by a real containerd on two emulated nodes, with eth0 from the bridge plugin and the
// rails from us, chained behind it (containerd_fixture.h).
//
// RAILHEAD_LAB_CYCLES and RAILHEAD_LAB_KILL_CYCLES say how often pods are created and deleted, and
// killed without DEL, on both nodes together. The defaults are a short form.
#include "lab/demo/measure.h"
#include "lab/demo/node_setup.h"
#include "lab/demo/scenario.h"
#include "src/base/text.h"
#include "tests/integration/containerd_fixture.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace railhead::lab {
namespace {

using Json = nlohmann::json;
using testing::HasSubstr;

int count(const char* variable, int otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::max(0, std::atoi(text));
}

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
  const MeasurePlan plan{{topology().links[0].rate, topology().links[1].rate}, 3, 64 * 1024};
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
  Json pod = Json::parse(podSpecification("says", true));
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
  Json asking = Json::parse(podSpecification("asking", true));
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
  letShimsStay();
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
  letShimsStay();
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
