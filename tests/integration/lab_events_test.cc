// What kubelet hears when something happens to a rail, on a real kernel: cable, PF, driver, VFs,
// the agent itself. Each within a second; the times are printed. They are taken in the node: from
// its clock just before the change to the arrival of the new list at the kubelet stand-in.
#include "lab/demo/node_setup.h"
#include "lab/demo/scenario.h"
#include "src/base/text.h"
#include "tests/integration/lab_fixture.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace railhead::lab {
namespace {

using Json = nlohmann::json;
using testing::HasSubstr;

constexpr const char* kResource = "nvidia.com/cx7_qsfp";
constexpr const char* kPf = "enp1s0f0np0";
constexpr double kLimit = 1.0;  // seconds

class LabEvents : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    topology_ = new Topology(*loadTopology("two-sparks"));
    auto lab = BoundLab::start(*topology_, labOptions("events"));
    ASSERT_TRUE(lab.has_value()) << lab.error().describe();
    lab_ = new BoundLab(std::move(*lab));
    for (const auto& step : {installFiles(node(), *topology_, 0), startKubelet(node()),
                             startAgent(node()), awaitAllocatable(node(), 4)}) {
      ASSERT_TRUE(step.has_value())
          << step.error().message << join(node().lastLines("agent", 20), "\n");
    }
  }
  static void TearDownTestSuite() {
    delete lab_;
    delete topology_;
    lab_ = nullptr;
  }
  void SetUp() override { ASSERT_NE(lab_, nullptr) << "the lab did not start"; }

  static NodeShell node() { return {lab_->client(), "spark-a"}; }
  static std::string ask(const std::string& script) {
    auto answer = node().run({"sh", "-c", script});
    return answer.has_value() ? *answer : "failed: " + answer.error().message;
  }
  static Json kubelet() { return Json::parse(ask("railhead-lab-kubelet status"), nullptr, false); }
  // The agent's word on the first device, or on what it does not offer.
  static std::string reason() {
    const auto status = Json::parse(ask("railhead-agent status"), nullptr, false);
    if (!status.is_object()) return "no status";
    for (const auto& device : status["resources"][0]["devices"]) {
      if (device.contains("reason")) return device["reason"];
    }
    for (const auto& set : status["withheld"]) return set["reason"];
    return "";
  }
  static double uptime() {
    return parseDouble(trim(ask("cut -d' ' -f1 /proc/uptime"))).value_or(0);
  }

  // When a change was begun and when the kernel had carried it out, in seconds since boot.
  struct Moment {
    double begun = 0;
    double done = 0;
  };
  // Waits until kubelet counts `allocatable`, and holds the arrival of the list it got against the
  // end of the change: a driver may take longer than a second by itself.
  static void expectWithin(const std::string& what, Moment moment, std::size_t allocatable) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(15);
    Json status;
    do {
      status = kubelet();
      ASSERT_TRUE(status.is_object());
    } while (status["allocatable"].value(kResource, std::size_t{999}) != allocatable &&
             std::chrono::steady_clock::now() < deadline);
    ASSERT_EQ(status["allocatable"].value(kResource, std::size_t{999}), allocatable)
        << what << "\n"
        << join(node().lastLines("agent", 20), "\n");
    const double listed = status["resources"][kResource].value("listed_at", 0.0);
    std::printf("%-36s kubelet knew %5.2f s after its begin, %5.2f s after its end\n", what.c_str(),
                listed - moment.begun, listed - moment.done);
    EXPECT_LT(listed - moment.done, kLimit) << what;
    EXPECT_GT(listed - moment.begun, -0.02) << what << ": an older list";  // hundredths
  }
  // Runs `script` in the node and expects kubelet to hear of it.
  static void change(const std::string& what, const std::string& script, std::size_t allocatable) {
    const std::string uptime = "cut -d' ' -f1 /proc/uptime; ";
    const std::string said = ask(uptime + script + "; " + uptime);
    const auto times = split(trim(said), '\n');
    ASSERT_EQ(times.size(), 2U) << said;
    expectWithin(what, {parseDouble(times[0]).value_or(0), parseDouble(times[1]).value_or(0)},
                 allocatable);
  }
  // For "it is back" the driver's own time does not count.
  static std::string untilCarrier() {
    return std::string("until [ $(cat /sys/class/net/") + kPf + "/carrier) = 1 ]; do :; done";
  }

  static Topology* topology_;
  static BoundLab* lab_;
};

Topology* LabEvents::topology_ = nullptr;
BoundLab* LabEvents::lab_ = nullptr;

TEST_F(LabEvents, APulledCable) {
  const double begun = uptime();
  ASSERT_TRUE(lab_->client().setLink("rail0", {.cut = true}).has_value());
  expectWithin("cable pulled", {begun, begun}, 0);
  EXPECT_THAT(reason(), HasSubstr("enp1s0f0np0 (0000:01:00.0) has no carrier"));
  ASSERT_TRUE(lab_->client().setLink("rail0", {.cut = false}).has_value());
  change("cable back", untilCarrier(), 4);
  EXPECT_EQ(reason(), "");
}

TEST_F(LabEvents, APfTakenDown) {
  change("PF set down", std::string("ip link set ") + kPf + " down", 0);
  EXPECT_THAT(reason(), HasSubstr("is down"));
  change("PF set up", std::string("ip link set ") + kPf + " up; " + untilCarrier(), 4);
}

TEST_F(LabEvents, AVfWithoutItsDriver) {
  const std::string vf(
      trim(ask(std::string("basename $(readlink /sys/class/net/") + kPf + "/device/virtfn1)")));
  ASSERT_THAT(vf, HasSubstr(":"));
  change("VF unbound", "echo " + vf + " > /sys/bus/pci/drivers/igbvf/unbind", 3);
  EXPECT_THAT(reason(), HasSubstr("VF " + vf + " has no driver"));
  change("VF bound", "echo " + vf + " > /sys/bus/pci/drivers/igbvf/bind", 4);
}

// A driver that is loaded anew, and a function that falls off the bus. Its devices stay known and
// are made anew; no other device is made of its twin's VFs.
TEST_F(LabEvents, APfWithoutItsDriverAndAPfThatIsGone) {
  const std::string pci(
      trim(ask(std::string("basename $(readlink -f /sys/class/net/") + kPf + "/device)")));
  ASSERT_THAT(pci, HasSubstr("0000:"));
  const auto comesBack = [&](const std::string& what, const std::string& script) {
    // Under the name that udev would give it.
    const std::string name = "; d=/sys/bus/pci/devices/" + pci +
                             "/net; until n=$(ls $d 2>/dev/null) && [ -n \"$n\" ]; do :; done; "
                             "ip link set $n down; ip link set $n name " +
                             kPf;
    const double begun = uptime();
    EXPECT_EQ(ask(script + name), "") << what;
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    Json status = kubelet();
    while (status["allocatable"].value(kResource, 0) != 4 &&
           std::chrono::steady_clock::now() < deadline) {
      status = kubelet();
    }
    ASSERT_EQ(status["allocatable"].value(kResource, 0), 4)
        << what << "\n"
        << join(node().lastLines("agent", 30), "\n");
    EXPECT_EQ(status["capacity"].value(kResource, 0), 4) << what;
    std::printf("%-36s provisioned and offered %5.2f s after its begin\n", what.c_str(),
                status["resources"][kResource].value("listed_at", 0.0) - begun);
  };
  change("PF unbound", "echo " + pci + " > /sys/bus/pci/drivers/igb/unbind", 0);
  const std::string pf = "enp1s0f0np0 (" + pci + ")";
  // The igb driver takes the VFs away first, so that is what the agent tells of: the PF is named.
  EXPECT_THAT(reason(), HasSubstr(pf));
  comesBack("PF bound again", "echo " + pci + " > /sys/bus/pci/drivers/igb/bind");
  change("PF removed", "echo 1 > /sys/bus/pci/devices/" + pci + "/remove", 0);
  EXPECT_THAT(reason(), HasSubstr(pf));
  comesBack("PF found again", "echo 1 > /sys/bus/pci/rescan");
  EXPECT_EQ(reason(), "");
}

TEST_F(LabEvents, AnAgentRestartedUnderAPod) {
  ASSERT_TRUE(runPod(node(), 0).has_value());
  // The whole start of a program on an emulated CPU, which the host's other work slows: the best of
  // three counts, and each must lose nothing.
  double best = 1e9;
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(killAgent(node()).has_value());
    const double since = uptime();
    ASSERT_TRUE(startAgent(node()).has_value());
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(15);
    Json status = kubelet();
    while (status["allocatable"].value(kResource, 0) != 4 &&
           std::chrono::steady_clock::now() < deadline) {
      status = kubelet();
    }
    EXPECT_EQ(status["allocatable"].value(kResource, 0), 4);
    EXPECT_EQ(status["capacity"].value(kResource, 0), 4);
    EXPECT_EQ(status["resources"][kResource].value("free", 0), 3);
    const double took = status["resources"][kResource].value("listed_at", 0.0) - since;
    std::printf("%-45s kubelet knew %.2f s after the command to start\n",
                "agent killed and started under a pod", took);
    best = std::min(best, took);
  }
  EXPECT_LT(best, kLimit);
  EXPECT_EQ(ask("railhead-lab-kubelet delete-pod " + podName(0)), "");
}

// The last one: it leaves the node with fewer VFs.
TEST_F(LabEvents, VfsAddedAtRunTime) {
  std::string config = agentConfig(*topology_, 0);
  const std::string begin = "version: 1\n";
  const auto at = config.find(begin);
  ASSERT_NE(at, std::string::npos);
  config.insert(at + begin.size(), "functions: {provision: false}\n");
  ASSERT_TRUE(killAgent(node()).has_value());
  ASSERT_TRUE(node().writeFile("/run/railhead-lab/agent.yaml", config).has_value());
  ASSERT_TRUE(startAgent(node()).has_value());
  ASSERT_TRUE(awaitAllocatable(node(), 4).has_value());
  const auto set = [](const std::string& count) {
    return "for pf in enp1s0f0np0 enP2p1s0f0np0; do echo " + count +
           " > /sys/class/net/$pf/device/sriov_numvfs; done";
  };
  change("all VFs removed", set("0"), 0);
  change("two VFs a PF added", set("2"), 2);
}

}  // namespace
}  // namespace railhead::lab
