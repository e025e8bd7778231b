// The agent's life beside kubelet: both are killed and restarted, and no device is lost or doubled.
// The agent is a process of its own on a fake kernel, kubelet is the stand-in.
#include "lab/kubelet/rig.h"
#include "src/agent/status_server.h"
#include "src/os/unique_fd.h"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <set>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

namespace railhead::lab {
namespace {

using std::chrono::duration;
using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr const char* kResource = "nvidia.com/cx7_qsfp";
constexpr int kRounds = 20;

// A child process; killed with the object.
class AgentProcess {
 public:
  AgentProcess(const std::string& state, const KubeletRig& rig, bool takeOver = false,
               const char* dieAt = nullptr) {
    std::vector<std::string> words{RAILHEAD_FAKE_NODE_AGENT, state, rig.pluginsFolder(),
                                   rig.root() + "/pods"};
    if (takeOver) words.emplace_back("--take-over");
    if (dieAt != nullptr) words.emplace_back(dieAt);
    std::array<int, 2> says{};
    EXPECT_EQ(::pipe2(says.data(), O_CLOEXEC), 0);
    says_.reset(says[0]);
    const os::UniqueFd child(says[1]);
    pid_ = ::fork();
    if (pid_ != 0) return;
    ::dup2(child.get(), STDOUT_FILENO);
    std::vector<char*> argv;
    for (auto& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  ~AgentProcess() { end(SIGKILL); }
  AgentProcess(const AgentProcess&) = delete;
  AgentProcess& operator=(const AgentProcess&) = delete;

  // It says so once it has the node, and kubelet.
  bool isReady() const {
    pollfd poller{says_.get(), POLLIN, 0};
    char word[8];
    return ::poll(&poller, 1, 20'000) > 0 && ::read(says_.get(), word, sizeof word) > 0;
  }
  // Its status; killed when it does not end in time.
  int await() {
    int status = 0;
    const auto deadline = steady_clock::now() + seconds(20);
    while (::waitpid(pid_, &status, WNOHANG) == 0) {
      if (steady_clock::now() > deadline) ::kill(pid_, SIGABRT);
      ::usleep(1000);
    }
    pid_ = -1;
    return status;
  }
  int end(int signal) {
    if (pid_ <= 0) return -1;
    ::kill(pid_, signal);
    return await();
  }

 private:
  pid_t pid_ = -1;
  os::UniqueFd says_;
};

class AgentKubeletTest : public testing::Test {
 protected:
  void SetUp() override {
    auto made = KubeletRig::make();
    ASSERT_TRUE(made.has_value()) << made.error().describe();
    rig_ = std::move(*made);
    ASSERT_TRUE(rig_->kubelet().start().has_value());
    state_ = rig_->root() + "/state";
    std::filesystem::create_directory(state_);
    const std::string answer =
        "[ $CNI_COMMAND = ADD ] || exit 0\n"
        "echo '{\"cniVersion\": \"1.0.0\", \"interfaces\": [{\"name\": \"eth0\"}]}'\n";
    ASSERT_TRUE(rig_->installPlugin("bridge", answer).has_value());
    ASSERT_TRUE(rig_->writeFile(rig_->cniConfigFolder() + "/10-x.conflist",
                                R"({"name": "x", "cniVersion": "1.0.0",
                                    "plugins": [{"type": "bridge"}]})")
                    .has_value());
  }

  bool becomes(const std::function<bool(const ResourceStatus&)>& wanted) {
    return rig_->kubelet().waitFor(
        [&](const KubeletStatus& status) {
          const auto found = status.resources.find(kResource);
          return wanted(found == status.resources.end() ? ResourceStatus{} : found->second);
        },
        steady_clock::now() + seconds(20));
  }
  bool allocatable(std::size_t count) {
    return becomes([&](const ResourceStatus& status) { return status.allocatable == count; });
  }
  std::set<std::string> ids() {
    std::set<std::string> ids;
    auto status = rig_->kubelet().status();
    for (const auto& device : status.resources[kResource].devices) {
      EXPECT_TRUE(ids.insert(device.id).second) << device.id << " twice";
    }
    return ids;
  }
  std::map<std::string, std::string> holders() {
    return rig_->kubelet().status().resources[kResource].holders;
  }
  void runPods(int count) {
    for (int i = 0; i < count; ++i) {
      PodSpec spec;
      spec.name.name = "trainer-" + std::to_string(i);
      spec.resources[kResource] = 1;
      const auto pod = rig_->kubelet().runPod(spec);
      ASSERT_TRUE(pod.has_value()) << pod.error().describe();
    }
  }

  std::unique_ptr<KubeletRig> rig_;
  std::string state_;
};

TEST_F(AgentKubeletTest, KilledTwentyTimesWithDevicesHeld) {
  auto agent = std::make_unique<AgentProcess>(state_, *rig_);
  ASSERT_TRUE(allocatable(4));
  const auto before = ids();
  runPods(2);
  const auto held = holders();
  ASSERT_EQ(held.size(), 2U);
  double slowest = 0;
  for (int round = 0; round < kRounds; ++round) {
    agent->end(SIGKILL);
    ASSERT_TRUE(becomes([](const ResourceStatus& status) { return !status.connected; }));
    const auto begun = steady_clock::now();
    // As a DaemonSet starts it: also where a killed one's sockets are left.
    agent = std::make_unique<AgentProcess>(state_, *rig_, true);
    ASSERT_TRUE(allocatable(4)) << "round " << round;
    slowest = std::max(slowest, duration<double>(steady_clock::now() - begun).count());
    EXPECT_EQ(ids(), before);
    EXPECT_EQ(holders(), held);
    EXPECT_EQ(rig_->kubelet().status().resources[kResource].free, 2U);
  }
  std::printf("killed %d times: offered again after at most %.0f ms\n", kRounds, slowest * 1e3);
}

TEST_F(AgentKubeletTest, KubeletRestartedTwentyTimesWithDevicesHeld) {
  const AgentProcess agent(state_, *rig_);
  ASSERT_TRUE(allocatable(4));
  const auto before = ids();
  runPods(2);
  const auto held = holders();
  double slowest = 0;
  for (int round = 0; round < kRounds; ++round) {
    const auto begun = steady_clock::now();
    ASSERT_TRUE(rig_->kubelet().restart().has_value());
    ASSERT_TRUE(allocatable(4)) << "round " << round;
    slowest = std::max(slowest, duration<double>(steady_clock::now() - begun).count());
    EXPECT_EQ(ids(), before);
    EXPECT_EQ(holders(), held);
  }
  std::printf("kubelet restarted %d times: registered again after at most %.0f ms\n", kRounds,
              slowest * 1e3);
}

#ifdef RAILHEAD_STEPPED_CLOCK
// Steps the wall clock of the programs that are started while it lives.
class WallClock {
 public:
  explicit WallClock(const std::string& path) {
    fd_ = os::UniqueFd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    step(seconds(0));
    ::setenv("RAILHEAD_WALL_CLOCK_STEP", path.c_str(), 1);
    ::setenv("LD_PRELOAD", RAILHEAD_STEPPED_CLOCK, 1);
  }
  ~WallClock() {
    ::unsetenv("LD_PRELOAD");
    ::unsetenv("RAILHEAD_WALL_CLOCK_STEP");
  }
  void step(seconds by) {
    const std::int64_t value = by.count();
    EXPECT_EQ(::pwrite(fd_.get(), &value, sizeof value, 0), ssize_t{sizeof value});
  }

 private:
  os::UniqueFd fd_;
};

TEST_F(AgentKubeletTest, AJumpOfTheWallClockChangesNothing) {
  WallClock clock(state_ + "/step");
  const AgentProcess agent(state_, *rig_);
  ASSERT_TRUE(allocatable(4));
  const auto before = ids();
  runPods(2);
  const auto held = holders();
  constexpr seconds kDay{86400};
  for (const auto jump : {kDay, -kDay, 400 * kDay, -400 * kDay, seconds(0)}) {
    clock.step(jump);
    EXPECT_TRUE(allocatable(4)) << jump.count();
    EXPECT_EQ(rig_->kubelet().status().resources[kResource].free, 2U);
    // What waits, waits by the other clock: kubelet's return is seen as ever.
    ASSERT_TRUE(rig_->kubelet().restart().has_value());
    ASSERT_TRUE(allocatable(4)) << "after a jump of " << jump.count() << " s";
    EXPECT_EQ(ids(), before);
    EXPECT_EQ(holders(), held);
  }
}
#endif

TEST_F(AgentKubeletTest, ASecondAgentIsRefused) {
  const AgentProcess agent(state_, *rig_);
  ASSERT_TRUE(allocatable(4));
  AgentProcess second(state_, *rig_);
  const int status = second.await();
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 1) << status;
  EXPECT_TRUE(allocatable(4));
}

// Kubelet makes a resource unhealthy when any stream of it ends, also that of an agent before the
// one before: so three in a row, and every way to go.
TEST_F(AgentKubeletTest, UpgradesHandOverWithoutAMomentOfFewerDevices) {
  auto older = std::make_unique<AgentProcess>(state_, *rig_);
  ASSERT_TRUE(allocatable(4));
  const auto before = ids();
  runPods(1);
  const auto held = holders();
  for (int upgrade = 0; upgrade < 3; ++upgrade) {
    const auto registrations = rig_->kubelet().status().registrations;
    auto newer = std::make_unique<AgentProcess>(state_, *rig_, true);
    ASSERT_TRUE(rig_->kubelet().waitFor(
        [&](const KubeletStatus& status) { return status.registrations > registrations; },
        steady_clock::now() + seconds(20)));
    ASSERT_TRUE(newer->isReady());
    // The older one lives on, idle, until it is ended; that changes nothing.
    if (upgrade == 1) {
      older->end(SIGKILL);
    } else {
      EXPECT_EQ(older->end(SIGTERM), 0);
    }
    // Pods are bound all the time.
    PodSpec spec;
    spec.name.name = "bound-" + std::to_string(upgrade);
    spec.resources[kResource] = 1;
    const auto pod = rig_->kubelet().runPod(spec);
    ASSERT_TRUE(pod.has_value()) << pod.error().describe();
    ASSERT_TRUE(rig_->kubelet().deletePod(spec.name, DeleteMode::kProperly).has_value());
    older = std::move(newer);
  }
  EXPECT_EQ(ids(), before);
  EXPECT_EQ(holders(), held);
  EXPECT_EQ(rig_->kubelet().status().resources[kResource].fewest, 4U);
  // A kubelet that restarts starts anew with the one that is left.
  ASSERT_TRUE(rig_->kubelet().restart().has_value());
  EXPECT_TRUE(allocatable(4));
}

// The newer one dies at a certain point; the older takes the node back: it answers, and the next
// upgrade works.
TEST_F(AgentKubeletTest, AnUpgradeThatDiesLeavesTheOlderServing) {
  for (const char* point :
       {"the running agent hands the node over", "ready to serve kubelet", "kubelet is served"}) {
    AgentProcess older(state_, *rig_);
    ASSERT_TRUE(allocatable(4)) << point;
    AgentProcess newer(state_, *rig_, true, point);
    const int died = newer.await();
    ASSERT_TRUE(WIFSIGNALED(died) && WTERMSIG(died) == SIGKILL)
        << point << ": the newer agent did not get there";
    os::HostPaths paths;
    paths.state = state_;
    const auto deadline = steady_clock::now() + seconds(20);
    auto status = agent::askStatus(paths);
    while (!status.has_value() && steady_clock::now() < deadline) status = agent::askStatus(paths);
    ASSERT_TRUE(status.has_value()) << point << ": " << status.error().describe();
    EXPECT_TRUE(allocatable(4)) << point;
    const auto registrations = rig_->kubelet().status().registrations;
    AgentProcess third(state_, *rig_, true);
    EXPECT_TRUE(rig_->kubelet().waitFor(
        [&](const KubeletStatus& now) { return now.registrations > registrations; }, deadline))
        << point;
    EXPECT_EQ(older.end(SIGTERM), 0);
    EXPECT_TRUE(allocatable(4)) << point;
    EXPECT_EQ(third.end(SIGTERM), 0);
  }
}

}  // namespace
}  // namespace railhead::lab
