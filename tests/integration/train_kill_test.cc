// Ranks killed at random moments: from within, at the start, in a step, while a checkpoint is
// written or gets its name, at the end; and from outside, any process of the gang at any time.
// Whatever happens, the run ends as the undisturbed one does, nothing is left running, and no
// checkpoint that is not whole is ever loaded. RAILHEAD_TRAIN_KILLS says how many kills (12).
#include "src/base/random.h"
#include "src/base/text.h"
#include "src/os/bound_process.h"
#include "tests/integration/train_fixture.h"

#include <csignal>
#include <cstdlib>
#include <thread>

namespace railhead {
namespace {

using testing::HasSubstr;
using namespace std::chrono_literals;

constexpr std::uint64_t kInOneRun = 10;
constexpr std::uint64_t kSeed = 20261130;

std::uint64_t killsWanted() {
  const char* text = std::getenv("RAILHEAD_TRAIN_KILLS");
  return text == nullptr ? 12 : parseUnsigned(text).value_or(12);
}

class TrainKills : public TrainFixture {
 protected:
  static constexpr char kRetry[] =
      "retry: {restarts: 1000, backoffSeconds: 0, notAfter: [2]}\ncheckpoints: {keep: 0}\n";

  void SetUp() override {
    ASSERT_EQ(run(runFile("calm", {"--steps", "12"}, kRetry), "calm").exitCode, 0);
  }
  void expectAsTheCalmOne(const std::string& name) {
    const auto same = compare("calm", name);
    EXPECT_EQ(same.exitCode, 0) << same.output;
    EXPECT_THAT(same.output, HasSubstr("bitwise equal (12 losses, 4 checkpoints)"));
    EXPECT_EQ(manifest(name).metrics.tokens, 2400U);
    for (const auto& kept : checkpointNames(name)) EXPECT_THAT(kept, HasSubstr("step-0000"));
    expectNothingRuns();
  }
};

TEST_F(TrainKills, FromWithinInEveryPhaseEndAsTheUndisturbedRun) {
  std::uint64_t met = 0;
  const std::uint64_t wanted = killsWanted();
  for (std::uint64_t round = 0; met < wanted && round < wanted; ++round) {
    const std::string name = "hurt-" + std::to_string(round);
    const std::string chaos =
        std::to_string(kSeed + round) + ":" + std::to_string(std::min(kInOneRun, wanted));
    const auto result = run(runFile(name, {"--steps", "12", "--chaos", chaos}, kRetry), name);
    ASSERT_EQ(result.exitCode, 0) << chaos << '\n' << result.errorOutput;
    met += manifest(name).attempts.size() - 1;
    expectAsTheCalmOne(name);
    std::filesystem::remove_all(at(name));
  }
  EXPECT_GE(met, wanted);
  RecordProperty("kills", static_cast<int>(met));
}

// Guard, command or watcher, whichever the number says; the watcher's run is resumed.
TEST_F(TrainKills, FromOutsideOfAnyProcessEndAsTheUndisturbedRun) {
  SplitMix random(kSeed);
  const auto file = runFile("long", {"--steps", "12", "--step-ms", "5"}, kRetry);
  std::uint64_t met = 0;
  const std::uint64_t wanted = killsWanted();
  const auto limit = std::chrono::steady_clock::now() + 120s + wanted * 1s;
  bool resumes = false;
  int number = 0;
  const auto nameOfRun = [&] { return "a-" + std::to_string(number); };
  while (met < wanted && std::chrono::steady_clock::now() < limit) {
    const std::string name = nameOfRun();
    os::BoundProcessSpec spec;
    spec.argv = {RAILHEAD_PROGRAM, "train", "run", file, "--folder", at(name)};
    if (resumes) spec.argv = {RAILHEAD_PROGRAM, "train", "resume", at(name)};
    auto process = os::BoundProcess::start(spec, "/dev/null").value();
    resumes = false;
    bool killed = false;
    while (!process.ended()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(random.next() % 120));
      if (random.next() % 4 == 0) {
        process.kill();
        killed = true;
        ++met;
        resumes = std::filesystem::exists(at(name) + "/manifest.json");
        if (resumes) awaitUnlocked(name);
        break;
      }
      const auto living = leftRunning();
      if (living.empty()) continue;
      const auto pid = parseUnsigned(split(living[random.next() % living.size()], ' ').front());
      if (pid && ::kill(static_cast<pid_t>(*pid), SIGKILL) == 0) ++met;
    }
    if (!killed) {
      ASSERT_EQ(process.exitCode(), 0) << manifest(name).reason;
    }
    bool finished = !killed;
    if (!resumes) expectNothingRuns();
    if (resumes && manifest(name).state == "finished") {
      finished = true;
      resumes = false;
    }
    if (finished) expectAsTheCalmOne(name);
    if (!resumes) ++number;
  }
  EXPECT_GE(met, wanted);
  // The last one, undisturbed to its end.
  if (resumes) {
    const std::string name = nameOfRun();
    ASSERT_EQ(train({"resume", at(name)}).exitCode, 0);
    expectAsTheCalmOne(name);
  }
  RecordProperty("kills", static_cast<int>(met));
}

}  // namespace
}  // namespace railhead
