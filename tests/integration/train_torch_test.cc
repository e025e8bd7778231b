// A PyTorch script that knows nothing of Railhead: started as a gang, killed, started again,
// finished, and with the result of an undisturbed run.
#include "src/os/bound_process.h"
#include "tests/integration/train_fixture.h"

#include <csignal>
#include <thread>

namespace railhead {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

constexpr auto kLong = 240s;  // PyTorch alone takes seconds to load, on a busy machine many

class TrainTorch : public TrainFixture {
 protected:
  void SetUp() override {
    // The distribution's first: another one in PATH seldom has it.
    for (const char* python : {"/usr/bin/python3", "python3"}) {
      os::ProcessSpec spec;
      spec.argv = {python, "-c", "import torch.distributed as d; assert d.is_gloo_available()"};
      spec.deadline = kLong;
      const auto there = os::SystemProcessRunner().run(spec);
      if (!there.has_value() || there->exitCode != 0) continue;
      python_ = python;
      return;
    }
    GTEST_SKIP() << "no PyTorch with gloo for python3: apt-get install python3-torch";
  }

  std::string scriptRun(const std::string& name) const {
    std::filesystem::create_directories(at(name + "-state"));
    return runFileOf(name,
                     "[" + python_ + ", " + RAILHEAD_SOURCE +
                         "/tests/integration/plain_torch.py, " + at(name + "-state") + ", \"40\"]",
                     "retry: {restarts: 2, backoffSeconds: 0.1}\n"
                     "environment: {OMP_NUM_THREADS: \"1\", GLOO_SOCKET_IFNAME: lo}\n");
  }
  std::string stateOf(const std::string& name) const { return at(name + "-state/state.pt"); }
  std::string lossOf(const std::string& name) const {
    return testing_support::readText(at(name + "-state/loss"));
  }

  // The process of the script with this rank, of this run; 0: none.
  pid_t rankProcess(const std::string& state, int rank) const {
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
      const std::string pid = entry.path().filename();
      if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
      const auto words = contentOf(entry.path() / "cmdline");
      const auto variables = contentOf(entry.path() / "environ");
      const bool ours = words.find("plain_torch.py") != std::string::npos &&
                        words.find(state) != std::string::npos &&
                        variables.find("RANK=" + std::to_string(rank) + '\0') != std::string::npos;
      if (ours) return static_cast<pid_t>(std::stol(pid));
    }
    return 0;
  }
  static std::string contentOf(const std::filesystem::path& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  std::string python_;
};

TEST_F(TrainTorch, RunsIsKilledAndFinishesAsIfNothingHadBeen) {
  const auto whole = train({"run", scriptRun("whole"), "--folder", at("whole")}, kLong);
  ASSERT_EQ(whole.exitCode, 0) << whole.errorOutput;

  const std::string name = "killed";
  os::BoundProcessSpec spec;
  spec.argv = {RAILHEAD_PROGRAM, "train", "run", scriptRun(name), "--folder", at(name)};
  auto process = os::BoundProcess::start(spec, "/dev/null").value();
  const auto limit = std::chrono::steady_clock::now() + kLong;
  while (!std::filesystem::exists(stateOf(name)) && std::chrono::steady_clock::now() < limit)
    std::this_thread::sleep_for(20ms);
  const pid_t victim = rankProcess(at(name + "-state"), 1);
  ASSERT_GT(victim, 0);
  ASSERT_EQ(::kill(victim, SIGKILL), 0);
  while (!process.ended() && std::chrono::steady_clock::now() < limit)
    std::this_thread::sleep_for(20ms);
  ASSERT_EQ(process.exitCode(), 0);

  const auto kept = manifest(name);
  EXPECT_EQ(kept.state, "finished");
  ASSERT_EQ(kept.attempts.size(), 2U);
  EXPECT_EQ(kept.attempts[0].end, "failed");
  EXPECT_THAT(kept.attempts[0].reason, HasSubstr("rank 1"));
  EXPECT_THAT(testing_support::readText(folderOf(name).logFile(0)),
              HasSubstr("goes on after step"));
  EXPECT_FALSE(lossOf(name).empty());
  EXPECT_EQ(lossOf(name), lossOf("whole"));
  EXPECT_EQ(rankProcess(at(name + "-state"), 0), 0);
}

}  // namespace
}  // namespace railhead
