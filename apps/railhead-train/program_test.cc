// The trainer as a launcher starts it: processes that find each other by their environment, are
// killed, and go on.
#include "src/base/random.h"
#include "src/checkpoint/reading.h"
#include "src/os/bound_process.h"
#include "src/os/host_paths.h"
#include "src/os/process.h"
#include "tests/support/free_port.h"
#include "tests/support/temporary_folder.h"

#include <algorithm>
#include <cmath>
#include <csignal>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <unistd.h>

namespace railhead {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using Words = std::vector<std::string>;

constexpr bool kTorch = RAILHEAD_TRAIN_TORCH;
constexpr auto kLong = 120s;  // more than anything here takes on a busy machine

class TrainProgram : public testing::Test {
 protected:
  TrainProgram() {
    SplitMix random(3);
    const Words words = {"rail", "gradient", "bucket", "step", "of", "the", "and", "runs"};
    std::ofstream text(at("text"));
    for (int i = 0; i < 4000; ++i) text << words[random.next() % words.size()] << ' ';
  }

  std::string at(const std::string& name) const { return temporary_.path() + "/" + name; }

  // A small model on a CPU; `more` may say otherwise.
  Words arguments(const Words& more) const {
    const std::map<std::string, std::string> usual = {
        {"--data", at("text")}, {"--layers", "2"},          {"--heads", "2"}, {"--width", "32"},
        {"--context", "32"},    {"--warmup", "4"},          {"--batch", "8"}, {"--threads", "1"},
        {"--device", "cpu"},    {"--learning-rate", "3e-3"}};
    Words out = {RAILHEAD_TRAIN, "--json", "--deterministic"};
    for (const auto& [option, value] : usual) {
      if (std::find(more.begin(), more.end(), option) == more.end()) {
        out.insert(out.end(), {option, value});
      }
    }
    out.insert(out.end(), more.begin(), more.end());
    return out;
  }

  os::ProcessResult alone(const Words& more) const {
    os::ProcessSpec spec;
    spec.argv = arguments(more);
    spec.deadline = kLong;
    auto result = os::SystemProcessRunner().run(spec);
    EXPECT_TRUE(result.has_value()) << result.error().describe();
    return result.has_value() ? *result : os::ProcessResult{};
  }

  // A gang of processes on this machine; each writes metrics of its own.
  struct Gang {
    std::vector<os::BoundProcess> ranks;
    std::string metrics;
    std::string metricsOf(std::size_t rank) const { return metrics + std::to_string(rank); }
  };

  // `apart`: further options of each rank.
  Gang start(int count, const std::string& name, const Words& more,
             const std::vector<Words>& apart = {}, const std::string& preloaded = "") {
    const std::uint16_t port = testing_support::freePort();
    Gang gang;
    gang.metrics = at(name + ".metrics.");
    for (int rank = 0; rank < count; ++rank) {
      os::BoundProcessSpec spec;
      Words options = more;
      if (!apart.empty()) {
        const Words& own = apart[static_cast<std::size_t>(rank)];
        options.insert(options.end(), own.begin(), own.end());
      }
      spec.argv = arguments(options);
      spec.argv.insert(spec.argv.end(),
                       {"--metrics", gang.metricsOf(static_cast<std::size_t>(rank))});
      spec.environment = {{"RANK", std::to_string(rank)},
                          {"WORLD_SIZE", std::to_string(count)},
                          {"LOCAL_RANK", std::to_string(rank)},
                          {"MASTER_ADDR", "127.0.0.1"},
                          {"MASTER_PORT", std::to_string(port)}};
      if (!preloaded.empty()) (*spec.environment)["LD_PRELOAD"] = preloaded;
      auto started = os::BoundProcess::start(spec, os::HostPaths().dev + "/null");
      EXPECT_TRUE(started.has_value()) << started.error().describe();
      gang.ranks.push_back(std::move(*started));
    }
    return gang;
  }

  static int end(os::BoundProcess& process) {
    pollfd ended{process.pidFd(), POLLIN, 0};
    EXPECT_EQ(::poll(&ended, 1, std::chrono::milliseconds(kLong).count()), 1) << "still running";
    EXPECT_TRUE(process.ended().has_value());
    return process.exitCode().value_or(-1);
  }
  void finish(Gang& gang) {
    for (auto& rank : gang.ranks) EXPECT_EQ(end(rank), 0);
  }

  // The losses that a metrics file tells, by step; of a step told twice the last one.
  static std::map<int, double> losses(const std::string& path) {
    std::map<int, double> out;
    std::ifstream in(path);
    for (std::string line; std::getline(in, line);) {
      const auto json = nlohmann::json::parse(line, nullptr, false);
      if (json.contains("loss")) out[json["step"]] = json["loss"];
    }
    return out;
  }
  static void awaitStep(const std::string& path, int step) {
    const auto until = std::chrono::steady_clock::now() + kLong;
    while (!losses(path).contains(step)) {
      ASSERT_LT(std::chrono::steady_clock::now(), until) << "step " << step << " did not come";
      std::this_thread::sleep_for(5ms);
    }
  }

  // Digests of what a checkpoint holds, by file.
  static std::map<std::string, std::string> digests(const std::string& folder, int step) {
    const auto files = std::move(*os::RootedFilesystem::open("/"));
    const auto record = checkpoint::readCheckpoint(
        *files, folder + "/" + checkpoint::checkpointName(static_cast<std::uint64_t>(step)),
        checkpoint::Depth::kDigests);
    EXPECT_TRUE(record.has_value()) << record.error().describe();
    std::map<std::string, std::string> out;
    if (!record.has_value()) return out;
    for (const auto& file : record->files) out[file.name] = file.sha256;
    return out;
  }

  testing_support::TemporaryFolder temporary_;
};

TEST_F(TrainProgram, TellsItsUsage) {
  const auto help = alone({"--help"});
  EXPECT_EQ(help.exitCode, 0);
  EXPECT_THAT(help.output, HasSubstr("Examples:"));
  EXPECT_EQ(alone({"--version"}).output, std::string(RAILHEAD_VERSION) + "\n");
  const auto wrong = alone({"--no-such-option"});
  EXPECT_EQ(wrong.exitCode, 2);
  EXPECT_THAT(wrong.errorOutput, HasSubstr("'--no-such-option' is no option"));
  const auto batch = alone({"--batch", "6", "--micro-batch", "4"});
  EXPECT_EQ(batch.exitCode, 2);
  EXPECT_THAT(batch.errorOutput, HasSubstr("expected a multiple of 1 ranks"));
  const auto latest = alone({"--resume", "latest"});
  EXPECT_EQ(latest.exitCode, 2);
  EXPECT_THAT(latest.errorOutput, HasSubstr("--resume latest without --checkpoints"));
}

TEST_F(TrainProgram, EveryOptionIsDocumented) {
  std::ifstream in("docs/reference/railhead-train.md");
  const std::string document(std::istreambuf_iterator<char>(in), {});
  const std::string help = alone({"--help"}).output;
  const std::regex option("\n *(?:-h,)?(--[a-z0-9-]+)");
  int found = 0;
  for (std::sregex_iterator at(help.begin(), help.end(), option), last; at != last; ++at) {
    const std::string name = (*at)[1];
    if (name == "--help" || name == "--version") continue;
    ++found;
    EXPECT_THAT(document, HasSubstr("`" + name + "`"));
  }
  EXPECT_GT(found, 30);
}

TEST_F(TrainProgram, AGpuThatIsNotThereIsNamed) {
  const auto result = alone({"--device", "cuda"});
  EXPECT_EQ(result.exitCode, 4);
  EXPECT_THAT(result.errorOutput,
              HasSubstr(kTorch ? "sees 0 CUDA devices" : "this build has no other"));
}

TEST_F(TrainProgram, LearnsAndSaysSo) {
  const auto result = alone({"--steps", "60", "--checkpoints", at("c")});
  ASSERT_EQ(result.exitCode, 0) << result.errorOutput;
  std::vector<nlohmann::json> lines;
  std::istringstream in(result.output);
  for (std::string line; std::getline(in, line);) lines.push_back(nlohmann::json::parse(line));
  ASSERT_EQ(lines.size(), 63U);
  EXPECT_EQ(lines.front()["event"], "facts");
  EXPECT_THAT(lines.front()["facts"]["engine"],
              HasSubstr(kTorch ? "float32, LibTorch" : "float32, loops"));
  EXPECT_EQ(lines.back()["event"], "end");
  EXPECT_EQ(lines[61]["event"], "checkpoint");
  EXPECT_EQ(lines[61]["path"], at("c/step-00000060"));
  // Bytes at random cost ln 256 each; these few words far less.
  EXPECT_NEAR(lines[1]["loss"].get<double>(), std::log(256), 0.3);
  EXPECT_LT(lines[60]["loss"].get<double>(), 2.5);
}

TEST_F(TrainProgram, KilledAndResumedItEndsWithTheSameBits) {
  const Words options = {"--steps", "60", "--checkpoint-every", "10", "--keep", "10"};
  const auto with = [&](const std::string& folder) {
    Words out = options;
    out.insert(out.end(), {"--checkpoints", at(folder), "--resume", "latest"});
    return out;
  };
  auto whole = start(2, "whole", with("whole"));
  finish(whole);

  Gang killed;
  // The training may be over before this process comes to its signal.
  for (int tries = 0; tries < 5; ++tries) {
    std::filesystem::remove_all(at("killed"));
    for (std::size_t rank = 0; rank < killed.ranks.size(); ++rank)
      std::filesystem::remove(killed.metricsOf(rank));
    killed = start(2, "killed", with("killed"));
    awaitStep(killed.metricsOf(0), 12);
    killed.ranks[1].signal(SIGKILL);
    if (end(killed.ranks[1]) != 0) break;
    end(killed.ranks[0]);
  }
  EXPECT_EQ(end(killed.ranks[1]), 128 + SIGKILL);
  EXPECT_EQ(end(killed.ranks[0]), 1);  // by itself, and soon
  const auto before = losses(killed.metricsOf(0));
  ASSERT_FALSE(before.empty());
  ASSERT_LT(before.rbegin()->first, 60) << "it was killed too late to show anything";

  auto resumed = start(2, "killed", with("killed"));
  finish(resumed);
  const auto expected = losses(whole.metricsOf(0));
  ASSERT_EQ(expected.size(), 60U);
  EXPECT_EQ(losses(resumed.metricsOf(0)), expected);
  EXPECT_EQ(losses(resumed.metricsOf(1)), expected);
  EXPECT_EQ(digests(at("killed"), 60), digests(at("whole"), 60));
}

// Gloo would wait for five times --patience.
TEST_F(TrainProgram, ARankThatDiesWhileTheyConnectEndsTheOtherSoon) {
#ifdef RAILHEAD_DIES_CONNECTING
  const auto begun = std::chrono::steady_clock::now();
  auto gang = start(2, "dying", {"--transport", "tcp"}, {}, RAILHEAD_DIES_CONNECTING);
  const std::set<int> codes = {end(gang.ranks[0]), end(gang.ranks[1])};
  EXPECT_EQ(codes, (std::set<int>{1, 128 + SIGKILL}));
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 60s);
#else
  GTEST_SKIP() << "a sanitizer wants to be the first library itself";
#endif
}

// Two ranks, one, two: other sums, the same training.
TEST_F(TrainProgram, ResumedWithAnotherNumberOfRanksTheLossIsTheSame) {
  const auto until = [&](const std::string& folder, const char* resume) {
    return Words{"--steps",       "60",       "--checkpoint-every", "20",      "--keep", "10",
                 "--checkpoints", at(folder), "--resume",           at(resume)};
  };
  auto whole = start(
      2, "whole",
      {"--steps", "60", "--checkpoint-every", "20", "--keep", "10", "--checkpoints", at("whole")});
  finish(whole);
  auto one = start(1, "one", until("one", "whole/step-00000020"));
  finish(one);
  auto two = start(2, "two", until("two", "one/step-00000040"));
  finish(two);
  const auto expected = losses(whole.metricsOf(0));
  const auto alone = losses(one.metricsOf(0));
  const auto again = losses(two.metricsOf(0));
  ASSERT_EQ(alone.size(), 40U);
  ASSERT_EQ(again.size(), 20U);
  for (const auto& [step, loss] : alone) EXPECT_NEAR(loss, expected.at(step), 1e-3) << step;
  for (const auto& [step, loss] : again) EXPECT_NEAR(loss, expected.at(step), 1e-3) << step;
}

TEST_F(TrainProgram, AskedToStopItWritesACheckpoint) {
  auto gang = start(2, "stopped", {"--steps", "100000", "--checkpoints", at("c")});
  awaitStep(gang.metricsOf(1), 3);
  gang.ranks[1].signal(SIGTERM);
  for (auto& rank : gang.ranks) EXPECT_EQ(end(rank), 128 + SIGTERM);
  const auto files = std::move(*os::RootedFilesystem::open("/"));
  const auto found = checkpoint::newestCheckpoint(*files, at("c"));
  ASSERT_TRUE(found.has_value() && found->checkpoint);
  EXPECT_EQ(static_cast<int>(found->checkpoint->step), losses(gang.metricsOf(0)).rbegin()->first);
}

TEST_F(TrainProgram, RanksThatWereAskedForOtherThingsSaySo) {
  auto gang = start(2, "other", {"--steps", "4"}, {{}, {"--width", "64"}});
  for (auto& rank : gang.ranks) EXPECT_EQ(end(rank), 3);
  EXPECT_TRUE(losses(gang.metricsOf(0)).empty());
}

// What a launcher of ours says by the environment alone.
TEST_F(TrainProgram, TakesTheContractsEnvironment) {
  os::ProcessSpec spec;
  spec.argv = arguments({"--steps", "4"});
  spec.deadline = kLong;
  spec.environment = {{"RAILHEAD_CHECKPOINT_DIR", at("c")},
                      {"RAILHEAD_METRICS_FILE", at("metrics")},
                      {"RAILHEAD_SEED", "9"}};
  const auto first = os::SystemProcessRunner().run(spec);
  ASSERT_EQ(first->exitCode, 0) << first->errorOutput;
  EXPECT_EQ(losses(at("metrics")).size(), 4U);
  spec.argv = arguments({"--steps", "6"});
  (*spec.environment)["RAILHEAD_RESUME"] = at("c/step-00000004");
  const auto second = os::SystemProcessRunner().run(spec);
  ASSERT_EQ(second->exitCode, 0) << second->errorOutput;
  EXPECT_EQ(losses(at("metrics")).size(), 6U);
  (*spec.environment)["RAILHEAD_SEED"] = "10";
  const auto other = os::SystemProcessRunner().run(spec);
  EXPECT_EQ(other->exitCode, 2);
  EXPECT_THAT(other->errorOutput, HasSubstr("its seed is '9', here '10'"));
}

// As in a claim, which who names the checkpoint cannot read.
TEST_F(TrainProgram, ANamedCheckpointThatIsNotWholeIsPassedOverForTheOneBeforeAndThatIsTold) {
  const Words words = {"--steps", "6", "--checkpoints", at("c"), "--checkpoint-every", "2",
                       "--keep",  "0"};
  ASSERT_EQ(alone(words).exitCode, 0);
  const auto spoil = [&](const std::string& step) {
    for (const auto& entry : std::filesystem::directory_iterator(at("c/step-0000000" + step))) {
      if (entry.path().extension() == ".safetensors") std::ofstream(entry.path()) << "other";
    }
  };
  spoil("4");
  os::ProcessSpec spec;
  spec.argv = arguments(words);
  spec.deadline = kLong;
  spec.environment = {{"RAILHEAD_METRICS_FILE", at("metrics")},
                      {"RAILHEAD_RESUME", at("c/step-00000004")}};
  const auto back = os::SystemProcessRunner().run(spec);
  ASSERT_EQ(back->exitCode, 0) << back->errorOutput;
  EXPECT_THAT(back->errorOutput, HasSubstr("note: RAILHEAD_RESUME: "));
  EXPECT_THAT(back->errorOutput, HasSubstr("step-00000004 was set aside as"));
  EXPECT_THAT(back->output, HasSubstr(R"("event":"resumed","step":2})"));
  EXPECT_EQ(losses(at("metrics")).size(), 4U);
  // With none whole before it nothing begins anew, and nothing is moved.
  spoil("2");
  spoil("4");
  const auto none = os::SystemProcessRunner().run(spec);
  EXPECT_EQ(none->exitCode, 1);
  EXPECT_THAT(none->errorOutput, HasSubstr("is no complete checkpoint"));
  EXPECT_TRUE(std::filesystem::exists(at("c/step-00000004")));
  // One that was asked for by hand is meant.
  auto byHand = words;
  byHand.insert(byHand.end(), {"--resume", at("c/step-00000004")});
  EXPECT_EQ(alone(byHand).exitCode, 1);
}

}  // namespace
}  // namespace railhead
