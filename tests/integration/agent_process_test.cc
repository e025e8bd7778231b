// The shipped agent as a process: what it may do, and who may talk to it.
#include "bench/node_tree.h"
#include "bench/process_cost.h"
#include "lab/kubelet/rig.h"
#include "src/agent/status_server.h"

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <thread>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>

namespace railhead::lab {
namespace {

namespace fs = std::filesystem;
using bench_programs::StartedProgram;
using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr const char* kResource = "nvidia.com/cx7_qsfp";
constexpr std::uint64_t kNetAdmin = std::uint64_t{1} << 12;
constexpr std::uint64_t kSysAdmin = std::uint64_t{1} << 21;

// The Cap... and NoNewPrivs lines of one thread.
std::map<std::string, std::uint64_t> privilegesOf(const fs::path& status) {
  std::map<std::string, std::uint64_t> values;
  std::ifstream lines(status);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("Cap") || line.starts_with("NoNewPrivs"))
      values[line.substr(0, line.find(':'))] =
          std::stoull(line.substr(line.find(':') + 1), nullptr, 16);
  }
  return values;
}

class AgentProcessTest : public testing::Test {
 protected:
  void SetUp() override {
    auto made = KubeletRig::make();
    ASSERT_TRUE(made.has_value()) << made.error().describe();
    rig_ = std::move(*made);
    ASSERT_TRUE(rig_->kubelet().start().has_value());
    folder_ = rig_->root() + "/agent";
    for (const char* below : {"/root", "/state"}) fs::create_directories(folder_ + below);
    ASSERT_TRUE(bench_programs::writeNode({.railSets = 2}, folder_ + "/root").has_value());
  }

  // Serves kubelet already.
  Result<StartedProgram> start(const std::string& functions) {
    std::ofstream(folder_ + "/agent.yaml")
        << "version: 1\nfunctions: {" << functions << "}\nprovision: {pfs: [{vfs: 2}]}\n"
        << "twins: [[rail0, rail1]]\nresources: [{name: " << kResource << "}]\n";
    auto agent = StartedProgram::start(
        {RAILHEAD_AGENT, "run", "--config", folder_ + "/agent.yaml", "--root", folder_ + "/root",
         "--state", folder_ + "/state", "--kubelet-plugins", rig_->pluginsFolder(),
         "--pod-resources", rig_->root() + "/pods"},
        folder_ + "/agent.log");
    if (!agent.has_value()) return agent;
    const bool came = rig_->kubelet().waitFor(
        [&](const KubeletStatus& status) {
          const auto found = status.resources.find(kResource);
          return found != status.resources.end() && found->second.connected &&
                 found->second.devices.size() == 2;
        },
        steady_clock::now() + seconds(20));
    if (came) return agent;
    return Error(ErrorCode::kDeadlineExceeded, "the agent did not register:\n" + log());
  }

  // It is answered before the last socket stands: awaitReady().
  nlohmann::json status() {
    os::HostPaths paths;
    paths.state = folder_ + "/state";
    const auto deadline = steady_clock::now() + seconds(20);
    while (steady_clock::now() < deadline) {
      const auto answer = agent::askStatus(paths);
      if (answer.has_value()) return nlohmann::json::parse(*answer, nullptr, false);
    }
    return {};
  }

  // All sockets stand from then on, and no draft of one is left.
  bool awaitReady() const {
    const auto deadline = steady_clock::now() + seconds(20);
    while (log().find("agent: ready\n") == std::string::npos) {
      if (steady_clock::now() >= deadline) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return true;
  }

  // Of every thread, as a program that it executes would have them.
  void expectEverywhere(const StartedProgram& agent, std::uint64_t needed) {
    // What this test has itself is the most that its child can keep.
    const std::uint64_t kept = privilegesOf("/proc/self/status").at("CapPrm") & needed;
    int threads = 0;
    for (const auto& task :
         fs::directory_iterator("/proc/" + std::to_string(agent.pid()) + "/task")) {
      auto has = privilegesOf(task.path() / "status");
      ++threads;
      EXPECT_EQ(has["CapEff"], kept) << task.path();
      EXPECT_EQ(has["CapPrm"], kept) << task.path();
      EXPECT_EQ(has["CapInh"], 0U) << task.path();
      EXPECT_EQ(has["CapAmb"], 0U) << task.path();
      EXPECT_EQ(has["NoNewPrivs"], 1U) << task.path();
      if (::geteuid() == 0) {
        EXPECT_EQ(has["CapBnd"], kept) << task.path();
      }
    }
    EXPECT_GT(threads, 5);
  }

  std::string log() const {
    std::ifstream file(folder_ + "/agent.log");
    return std::string(std::istreambuf_iterator<char>(file), {});
  }

  std::unique_ptr<KubeletRig> rig_;
  std::string folder_;
};

TEST_F(AgentProcessTest, KeepsInEveryThreadWhatAttachingTakes) {
  const auto agent = start("provision: false");
  ASSERT_TRUE(agent.has_value()) << agent.error().describe();
  const auto told = status();
  expectEverywhere(*agent, kNetAdmin | kSysAdmin);
  ASSERT_TRUE(told["privileges"].is_object());
  EXPECT_EQ(told["privileges"]["restricted"], true);
  EXPECT_EQ(told["privileges"]["kept"].size() + told["privileges"]["missing"].size(), 2U);
  EXPECT_NE(log().find("CAP_NET_ADMIN"), std::string::npos) << log();
}

TEST_F(AgentProcessTest, AdvertisingAloneTakesNone) {
  const auto agent = start("provision: false, cni: false");
  ASSERT_TRUE(agent.has_value()) << agent.error().describe();
  EXPECT_TRUE(status()["privileges"]["kept"].empty());
  expectEverywhere(*agent, 0);
}

TEST_F(AgentProcessTest, SocketsAreForTheirOwnerAlone) {
  const auto agent = start("provision: false");
  ASSERT_TRUE(agent.has_value()) << agent.error().describe();
  ASSERT_TRUE(status().is_object());
  ASSERT_TRUE(awaitReady()) << log();
  std::set<std::string> sockets;
  for (const auto& folder : {folder_ + "/state", rig_->pluginsFolder()}) {
    for (const auto& entry : fs::directory_iterator(folder)) {
      struct stat info {};
      const std::string name = entry.path().filename();
      ASSERT_EQ(::lstat(entry.path().c_str(), &info), 0) << entry.path();
      if (!S_ISSOCK(info.st_mode) || name == os::kKubeletSocket) continue;
      sockets.insert(name);
      EXPECT_EQ(info.st_mode & 0777U, 0600U) << entry.path();
      EXPECT_EQ(info.st_uid, ::geteuid()) << entry.path();
    }
  }
  EXPECT_TRUE(sockets.contains("cni.sock"));
  EXPECT_TRUE(sockets.contains("status.sock"));
  EXPECT_TRUE(sockets.contains("handover.sock"));
  EXPECT_TRUE(sockets.contains("railhead-nvidia.com_cx7_qsfp.sock"));
}

}  // namespace
}  // namespace railhead::lab
