// The reference trainer, as it is shipped, killed from outside: one rank, SIGKILL, at moments that
// are spread over what a run goes through by watching what it has told and written. Every run ends
// as the undisturbed one, bit by bit; nothing is left running; no checkpoint that is not whole is
// loaded. RAILHEAD_TRAIN_KILLS says how many kills (5).
#include "src/base/text.h"
#include "src/os/bound_process.h"
#include "tests/integration/trainer_fixture.h"

#include <array>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <set>
#include <thread>

namespace railhead {
namespace {

using testing::HasSubstr;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

constexpr std::uint64_t kTrainerSeed = 20261130;
constexpr std::uint64_t kSteps = 12;
constexpr int kInOneTrainersRun = 5;
constexpr std::array kPhases = {"start", "step", "checkpoint", "renamed", "shutdown"};

class TrainerKills : public TrainerFixture {
 protected:
  static constexpr char kAgain[] =
      "seed: 7\nretry: {restarts: 1000, backoffSeconds: 0, notAfter: [2]}\n"
      "checkpoints: {keep: 0}\n";

  void SetUp() override {
    ASSERT_EQ(run(fileNamed("calm"), "calm").exitCode, 0);
    ASSERT_EQ(steps("calm").size(), kSteps);
  }
  std::string fileNamed(const std::string& name) const {
    return trainerFile(name, {"--steps", std::to_string(kSteps), "--width", "96"}, kAgain);
  }

  // The trainers' own processes, not their guards.
  std::set<pid_t> trainersNow() const {
    std::set<pid_t> out;
    for (const auto& entry : fs::directory_iterator("/proc")) {
      const std::string name = entry.path().filename().string();
      const auto pid = parseUnsigned(name);
      if (!pid || !testing_support::readText(entry.path().string() + "/cmdline")
                       .starts_with(RAILHEAD_TRAINER))
        continue;
      const auto environment = testing_support::readText(entry.path().string() + "/environ");
      if (environment.find("RAILHEAD_RUN_DIR=" + folder_.string() + "/") != std::string::npos)
        out.insert(static_cast<pid_t>(*pid));
    }
    return out;
  }
  // Of the run, whole or being written; none yet is none.
  std::set<std::string> writtenIn(const std::string& run) const {
    std::set<std::string> out;
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(folderOf(run).checkpoints(), none))
      out.insert(entry.path().filename().string());
    return out;
  }
  std::uint64_t lastStep(const std::string& run) const {
    const auto told = steps(run);
    return told.empty() ? 0 : told.back().step;
  }
  static bool isPart(const std::string& name) { return name.ends_with(".part"); }

  // What a gang goes through, as it is seen from outside.
  struct Seen {
    std::set<std::string> before;  // names in the folder when the gang was found
    std::uint64_t from = 0;        // the last step told before it
    std::uint64_t awaited = 0;     // the step to be met, of phase "step"
  };
  bool isReached(const std::string& phase, const std::string& run, const Seen& seen) const {
    if (phase == "start") return true;
    if (phase == "step") return lastStep(run) >= seen.awaited;
    if (phase == "shutdown") return lastStep(run) == kSteps && writtenIn(run).contains(kLast);
    const auto now = writtenIn(run);
    return std::any_of(now.begin(), now.end(), [&](const std::string& name) {
      return isPart(name) == (phase == "checkpoint") && !seen.before.contains(name);
    });
  }
  // What the run was at when it was struck, by what stands there then.
  std::string phaseOf(const std::string& run, const Seen& seen) const {
    const auto now = writtenIn(run);
    if (std::any_of(now.begin(), now.end(), isPart)) return "checkpoint";
    if (now.contains(kLast)) return "shutdown";
    if (lastStep(run) <= seen.from && now == seen.before) return "start";
    const auto fresh = [&](const std::string& name) { return !seen.before.contains(name); };
    const std::string newest = "step-0000000" + std::to_string(lastStep(run));
    return now.contains(newest) && fresh(newest) ? "renamed" : "step";
  }

  // Waits for the next gang, then for the phase, and kills one of its ranks. Empty: the run ended,
  // or the gang was over, before the moment came.
  std::string strike(const std::string& run, os::BoundProcess& process,
                     const std::set<pid_t>& earlier, const std::string& phase, SplitMix& random) {
    const auto limit = std::chrono::steady_clock::now() + 60s;
    std::set<pid_t> gang;
    while (gang.size() < 2) {
      if (process.ended() || std::chrono::steady_clock::now() > limit) return "";
      gang = trainersNow();
      for (const pid_t pid : earlier) gang.erase(pid);
    }
    Seen seen{writtenIn(run), lastStep(run), 0};
    seen.awaited = seen.from + 1 + random.next() % 4;
    while (!isReached(phase, run, seen)) {
      if (process.ended() || std::chrono::steady_clock::now() > limit) return "";
      std::this_thread::sleep_for(200us);
    }
    // Longest at the start, which nothing is seen of.
    std::this_thread::sleep_for(
        std::chrono::microseconds(random.next() % (phase == "start"  ? 150'000
                                                   : phase == "step" ? 20'000
                                                                     : 3'000)));
    const pid_t victim = *std::next(gang.begin(), static_cast<long>(random.next() % gang.size()));
    const std::string met = phaseOf(run, seen);
    return !process.ended() && ::kill(victim, SIGKILL) == 0 ? met : "";
  }

  void expectAsTheCalmOne(const std::string& name) const {
    const auto same = compare("calm", name);
    EXPECT_EQ(same.exitCode, 0) << same.output;
    EXPECT_THAT(same.output, HasSubstr("bitwise equal (12 losses, 4 checkpoints)"));
    const auto kept = manifest(name);
    EXPECT_EQ(kept.metrics.tokens, manifest("calm").metrics.tokens);
    const std::string last = folderOf(name).checkpoints() + "/" + kLast + "/";
    for (const auto& file : kept.checkpoints.back().files) {
      EXPECT_EQ(testing_support::readText(last + file.name),
                testing_support::readText(folderOf("calm").checkpoints() + "/" + kLast + "/" +
                                          file.name));
    }
    // Each start took what a whole checkpoint says.
    for (const auto& attempt : kept.attempts) EXPECT_EQ(attempt.fromStep.value_or(0) % 3, 0U);
    EXPECT_THAT(checkpointNames(name),
                testing::ElementsAre("step-00000003", "step-00000006", "step-00000009", kLast));
    expectNothingRuns();
  }

  static constexpr char kLast[] = "step-00000012";
};

TEST_F(TrainerKills, FromOutsideInEveryPhaseEndAsTheUndisturbedRun) {
  const char* text = std::getenv("RAILHEAD_TRAIN_KILLS");
  const std::uint64_t wanted = text == nullptr ? 5 : parseUnsigned(text).value_or(5);
  SplitMix random(kTrainerSeed);
  std::map<std::string, std::uint64_t> met;
  std::uint64_t kills = 0;
  std::uint64_t aimed = 0;
  std::uint64_t restarts = 0;
  const auto begin = std::chrono::steady_clock::now();
  const auto limit = begin + 60s + wanted * 8s;
  for (int number = 0; kills < wanted && std::chrono::steady_clock::now() < limit; ++number) {
    const std::string name = "hurt-" + std::to_string(number);
    os::BoundProcessSpec spec;
    spec.argv = {RAILHEAD_PROGRAM, "train", "run", fileNamed(name), "--folder", at(name)};
    auto process = os::BoundProcess::start(spec, "/dev/null").value();
    std::set<pid_t> earlier;
    for (int blow = 0; blow < kInOneTrainersRun && kills < wanted; ++blow) {
      const std::string phase = kPhases[aimed++ % kPhases.size()];
      const std::string struck = strike(name, process, earlier, phase, random);
      if (struck.empty()) break;
      ++kills;
      ++met[struck];
      for (const pid_t pid : trainersNow()) earlier.insert(pid);
    }
    while (!process.ended() && std::chrono::steady_clock::now() < limit + 60s)
      std::this_thread::sleep_for(5ms);
    ASSERT_EQ(process.exitCode(), 0) << manifest(name).reason;
    restarts += manifest(name).attempts.size() - 1;
    expectAsTheCalmOne(name);
    fs::remove_all(at(name));
  }
  const auto seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin);
  EXPECT_GE(kills, wanted);
  std::cout << kills << " kills, " << restarts << " starts after them, " << seconds.count()
            << " s:";
  for (const auto& [phase, count] : met) {
    std::cout << ' ' << phase << ' ' << count;
    RecordProperty(phase, static_cast<int>(count));
  }
  std::cout << std::endl;
  RecordProperty("kills", static_cast<int>(kills));
}

}  // namespace
}  // namespace railhead
