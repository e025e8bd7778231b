// Boots the real lab through the real command: two emulated nodes, their cables, and the end.
#include "lab/client/lab_client.h"
#include "src/base/text.h"
#include "src/base/units.h"
#include "src/os/bound_process.h"
#include "src/os/process.h"

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <sstream>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

namespace railhead::lab {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;
using Clock = std::chrono::steady_clock;

constexpr char kFirst[] = "spark-a";
constexpr char kSecond[] = "spark-b";
constexpr char kPf[] = "enp1s0f0np0";

class LabBootTest : public testing::Test {
 protected:
  void TearDown() override { command({"down"}); }

  os::ProcessResult command(std::vector<std::string> arguments) {
    os::ProcessSpec spec;
    spec.argv = {RAILHEAD_PROGRAM, "lab"};
    spec.argv.insert(spec.argv.end(), arguments.begin(), arguments.end());
    spec.argv.insert(spec.argv.begin() + 3, {"--lab", name_});
    spec.deadline = seconds(150);
    auto result = runner_.run(spec);
    EXPECT_TRUE(result) << result.error().describe();
    return result ? *result : os::ProcessResult{-1, "", ""};
  }

  // Output of a shell line in a node; fails the test when it does not exit with 0.
  std::string shell(const std::string& node, const std::string& line) {
    const auto result = client().exec(node, {"sh", "-c", line});
    if (!result) {
      ADD_FAILURE() << result.error().describe();
      return "";
    }
    EXPECT_EQ(result->exitCode, 0) << line << '\n' << result->output << result->errorOutput;
    return result->output;
  }
  bool succeeds(const std::string& node, const std::vector<std::string>& argv) {
    const auto result = client().exec(node, argv);
    return result && result->exitCode == 0;
  }
  // Until the node sees the carrier that is expected.
  bool carrierBecomes(const std::string& node, const std::string& wanted) {
    const auto deadline = Clock::now() + seconds(15);
    while (Clock::now() < deadline) {
      const auto result =
          client().exec(node, {"cat", std::string("/sys/class/net/") + kPf + "/carrier"});
      if (result && trim(result->output) == wanted) return true;
    }
    return false;
  }
  LabClient client() {
    auto client = LabClient::connect(name_);
    if (!client) {
      ADD_FAILURE() << client.error().describe();
      std::abort();
    }
    return *client;
  }
  // Ended; that its new parent has collected it is not the lab's matter.
  static bool gone(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::string text;
    if (!std::getline(file, text)) return true;
    const auto name = text.rfind(')');
    return name != std::string::npos && text.substr(name).starts_with(") Z");
  }
  static std::string contents(const std::string& path) {
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }
  bool socketNameIsFree() const {
    return contents("/proc/net/unix").find(name_) == std::string::npos;
  }
  // What a small machine can count on: see the figures in docs/lab.md.
  static void checkLimits(const NodeStatus& node) {
    const std::string process = "/proc/" + std::to_string(node.pid);
    const std::string arguments = contents(process + "/cmdline");
    const std::string memory("\0-m\0", 4);
    const auto at = arguments.find(memory);
    ASSERT_NE(at, std::string::npos);
    const auto given = parseUnsigned(arguments.c_str() + at + memory.size());
    const std::string state = contents(process + "/status");
    const auto line = state.find("VmRSS:");
    ASSERT_NE(line, std::string::npos);
    const double resident = std::strtod(state.c_str() + line + 6, nullptr) / 1024;
    std::cout << node.name << ": ready " << formatSeconds(node.readySeconds)
              << " after its launch, " << given.value_or(0) << " MiB given, " << resident
              << " MiB resident, kernel " << node.kernel << '\n';
    EXPECT_LE(node.readySeconds, 20);
    EXPECT_EQ(given.value_or(0), node.memoryMib);
    EXPECT_LE(node.memoryMib, 1024U);
    EXPECT_LE(resident, 1024);
  }
  // Gives the PF an address of its own on every node.
  void address(const std::vector<std::string>& nodes, int mtu) {
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      shell(nodes[i], std::string("ip link set ") + kPf + " mtu " + std::to_string(mtu) +
                          " up && ip addr add 10.9.0." + std::to_string(i + 1) + "/24 dev " + kPf);
    }
    for (const auto& node : nodes) ASSERT_TRUE(carrierBecomes(node, "1")) << node;
  }
  void takeDown(const LabStatus& running) {
    EXPECT_EQ(command({"down"}).output, "the lab is down\n");
    EXPECT_TRUE(gone(running.keeperPid));
    for (const auto& node : running.nodes) EXPECT_TRUE(gone(node.pid)) << node.name;
    EXPECT_TRUE(socketNameIsFree());
  }

  os::SystemProcessRunner runner_;
  std::string name_ = "boot-" + std::to_string(::getpid());
};

TEST_F(LabBootTest, WholeLifeOfTwoNodes) {
  const auto start = Clock::now();
  const auto up = command({"up", "--deadline", "120", "--json"});
  ASSERT_EQ(up.exitCode, 0) << up.errorOutput;
  const std::chrono::duration<double> took = Clock::now() - start;
  const auto status = client().status();
  ASSERT_TRUE(status) << status.error().describe();
  ASSERT_EQ(status->nodes.size(), 2U);
  for (const auto& node : status->nodes) {
    checkLimits(node);
    EXPECT_EQ(node.state, NodeState::kReady);
    EXPECT_EQ(trim(shell(node.name, "uname -n; uname -r")), node.name + "\n" + node.kernel);
    EXPECT_THAT(shell(node.name, "cat /sys/class/net/enP2p1s0f0np0/device/sriov_totalvfs"),
                HasSubstr("7"));
  }
  std::cout << "railhead lab up: " << formatSeconds(took.count()) << '\n';

  ASSERT_NO_FATAL_FAILURE(address({kFirst, kSecond}, 9000));
  EXPECT_TRUE(succeeds(kFirst, {"ping", "-c", "3", "-W", "5", "-s", "8900", "10.9.0.2"}));

  ASSERT_EQ(command({"link", "rail0", "--cut"}).exitCode, 0);
  EXPECT_TRUE(carrierBecomes(kFirst, "0"));
  EXPECT_TRUE(carrierBecomes(kSecond, "0"));
  EXPECT_FALSE(succeeds(kFirst, {"ping", "-c", "1", "-W", "1", "10.9.0.2"}));
  ASSERT_EQ(command({"link", "rail0", "--restore"}).exitCode, 0);
  EXPECT_TRUE(carrierBecomes(kFirst, "1"));
  EXPECT_TRUE(carrierBecomes(kSecond, "1"));
  EXPECT_TRUE(succeeds(kFirst, {"ping", "-c", "3", "-W", "5", "10.9.0.2"}));

  const auto lossy = command({"link", "rail0", "--loss", "100"});
  EXPECT_THAT(lossy.output, HasSubstr("loss 100 %"));
  EXPECT_FALSE(succeeds(kFirst, {"ping", "-c", "1", "-W", "1", "10.9.0.2"}));
  ASSERT_EQ(command({"link", "rail0", "--loss", "0"}).exitCode, 0);

  takeDown(*status);
}

TEST_F(LabBootTest, FourNodesBehindOneSwitch) {
  const auto start = Clock::now();
  const auto up = command({"up", "--topology", "four-nodes", "--deadline", "140"});
  ASSERT_EQ(up.exitCode, 0) << up.errorOutput;
  const std::chrono::duration<double> took = Clock::now() - start;
  const auto status = client().status();
  ASSERT_TRUE(status) << status.error().describe();
  ASSERT_EQ(status->nodes.size(), 4U);
  std::vector<std::string> names;
  for (const auto& node : status->nodes) {
    EXPECT_EQ(node.state, NodeState::kReady) << node.name;
    names.push_back(node.name);
  }
  std::cout << "railhead lab up, four nodes: " << formatSeconds(took.count()) << '\n';

  ASSERT_NO_FATAL_FAILURE(address(names, 1500));
  for (const auto* other : {"10.9.0.2", "10.9.0.3", "10.9.0.4"})
    EXPECT_TRUE(succeeds(names.front(), {"ping", "-c", "2", "-W", "5", other})) << other;
  EXPECT_TRUE(succeeds(names.back(), {"ping", "-c", "2", "-W", "5", "10.9.0.2"}));
  takeDown(*status);
}

// A link's rate is what arrives: not more, and on a machine that keeps up not much less.
TEST_F(LabBootTest, RateOfALinkIsACeiling) {
  ASSERT_EQ(command({"up", "--deadline", "120"}).exitCode, 0);
  const LabClient lab = client();
  ASSERT_NO_FATAL_FAILURE(address({kFirst, kSecond}, 1500));
  ASSERT_TRUE(lab.setLink("rail0", {{}, BitRate{4e6}, {}}));
  std::thread receiver([&] {
    shell(kSecond, "mkfifo /tmp/silent && nc -l -p 5000 <>/tmp/silent | wc -c >/tmp/received");
  });
  ASSERT_TRUE(succeeds(kSecond, {"sh", "-c",
                                 "for i in $(seq 200); do netstat -ltn | grep -q :5000 && exit 0; "
                                 "sleep 0.1; done; exit 1"}));
  const auto begin = Clock::now();
  shell(kFirst, "dd if=/dev/zero bs=1000 count=1000 2>/dev/null | nc 10.9.0.2 5000");
  receiver.join();
  const std::chrono::duration<double> took = Clock::now() - begin;
  EXPECT_EQ(trim(shell(kSecond, "cat /tmp/received")), "1000000");
  std::cout << "1 MB at 4 Mb/s: " << formatSeconds(took.count()) << " (2.1 s is the floor)\n";
  EXPECT_GE(took.count(), 1.95);
}

TEST_F(LabBootTest, CtrlCDuringUpLeavesNothing) {
  auto up = os::BoundProcess::start({{RAILHEAD_PROGRAM, "lab", "up", "--lab", name_}}, "/dev/null");
  ASSERT_TRUE(up) << up.error().describe();
  std::vector<pid_t> pids;
  const auto deadline = Clock::now() + seconds(30);
  while (pids.size() < 3 && Clock::now() < deadline) {
    pids.clear();
    auto lab = LabClient::connect(name_);
    const auto status = lab ? lab->status() : Result<LabStatus>(lab.error());
    if (!status) continue;
    pids.push_back(status->keeperPid);
    for (const auto& node : status->nodes) pids.push_back(node.pid);
  }
  ASSERT_EQ(pids.size(), 3U);
  ASSERT_EQ(::kill(up->pid(), SIGINT), 0);
  pollfd entry{up->pidFd(), POLLIN, 0};
  ASSERT_EQ(::poll(&entry, 1, 15000), 1);
  EXPECT_EQ(up->ended(), "exit code 130");
  for (const pid_t pid : pids) EXPECT_TRUE(gone(pid)) << pid;
  EXPECT_TRUE(socketNameIsFree());
}

}  // namespace
}  // namespace railhead::lab
