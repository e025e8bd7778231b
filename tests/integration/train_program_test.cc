// `railhead train` as a user starts it: ranks of this machine that are killed, hang, refuse, and
// runs that are compared.
#include "src/base/text.h"
#include "src/os/bound_process.h"
#include "tests/integration/train_fixture.h"

#include <csignal>
#include <cstdlib>
#include <thread>

namespace railhead {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using namespace std::chrono_literals;

constexpr char kQuick[] = "retry: {restarts: 20, backoffSeconds: 0.01}\n";

class TrainProgram : public TrainFixture {
 protected:
  // A run in folder "a" that is killed or stopped on its way: once it has done so many steps.
  os::BoundProcess startSlowly(const char* steps, std::size_t done,
                               const std::vector<std::string>& more = {}) {
    std::vector<std::string> trainer = {"--steps", steps, "--step-ms", "20"};
    trainer.insert(trainer.end(), more.begin(), more.end());
    os::BoundProcessSpec spec;
    spec.argv = {RAILHEAD_PROGRAM, "train", "run", runFile("long", trainer, kQuick),
                 "--folder",       at("a")};
    auto process = os::BoundProcess::start(spec, "/dev/null").value();
    const auto limit = inAMinute();
    while (this->steps("a").size() < done && std::chrono::steady_clock::now() < limit)
      std::this_thread::sleep_for(10ms);
    return process;
  }
  static std::chrono::steady_clock::time_point inAMinute() {
    return std::chrono::steady_clock::now() + 60s;
  }
};

TEST_F(TrainProgram, APlainScriptThatKnowsNothingOfItIsKilledStartsAgainAndFinishes) {
  std::ofstream(at("plain.sh")) << "echo \"rank $RANK of $WORLD_SIZE\"\n"
                                   "[ \"$RANK\" = 1 ] && [ ! -e killed ] && touch killed && "
                                   "{ echo about to die; kill -9 $$; }\n"
                                   "[ -e killed ] || sleep 60\n"
                                   "echo finished\n";
  const auto result = run(runFileOf("plain", "[sh, plain.sh]", kQuick), "a");
  EXPECT_EQ(result.exitCode, 0) << result.errorOutput;
  const auto kept = manifest("a");
  EXPECT_EQ(kept.state, "finished");
  ASSERT_THAT(kept.attempts, SizeIs(2));
  EXPECT_EQ(kept.attempts[0].rank, 1);
  EXPECT_EQ(kept.attempts[0].node, "localhost");
  EXPECT_EQ(kept.attempts[0].reason, "rank 1 (node localhost) ended with signal 9: about to die");
  EXPECT_THAT(kept.attempts[0].lastLines, testing::Contains("about to die"));
  ASSERT_THAT(kept.code.scripts, SizeIs(1));
  EXPECT_EQ(kept.code.scripts[0].path, "plain.sh");
  const auto logs = train({"logs", at("a"), "--rank", "1"});
  EXPECT_THAT(logs.output, HasSubstr("rank 1 of 2"));
  EXPECT_THAT(logs.output, HasSubstr("finished"));
  expectNothingRuns();
}

TEST_F(TrainProgram, KilledRanksGoOnFromTheLastCheckpointAndComeOutTheSame) {
  ASSERT_EQ(run(runFile("calm", {"--steps", "10"}), "calm").exitCode, 0);
  const auto hurt = run(runFile("hurt",
                                {"--steps", "10", "--fault", "step:8:1:kill", "--fault",
                                 "write:9:0:kill:2", "--fault", "rename:9:0:exit:3"},
                                kQuick),
                        "hurt");
  ASSERT_EQ(hurt.exitCode, 0) << hurt.errorOutput;
  const auto kept = manifest("hurt");
  ASSERT_THAT(kept.attempts, SizeIs(4));
  EXPECT_EQ(kept.attempts[0].rank, 1);
  EXPECT_EQ(kept.attempts[1].fromStep, 6U);
  EXPECT_EQ(kept.attempts[2].fromStep, 6U);
  EXPECT_THAT(kept.attempts[2].reason, HasSubstr("rank 0 (node localhost) ended with exit code 9"));
  EXPECT_EQ(kept.metrics.steps, 10U);
  EXPECT_EQ(kept.metrics.tokens, 2000U);  // each step once
  EXPECT_GT(kept.metrics.lostSteps, 0U);
  EXPECT_THAT(steps("hurt"), SizeIs(10));
  EXPECT_THAT(checkpointNames("hurt"),
              ElementsAre("step-00000006", "step-00000009", "step-00000010"));
  const auto same = compare("calm", "hurt");
  EXPECT_EQ(same.exitCode, 0) << same.output;
  EXPECT_THAT(same.output, HasSubstr("bitwise equal (10 losses, 4 checkpoints)"));
  expectNothingRuns();
}

TEST_F(TrainProgram, ARankThatHangsIsNamedAndAllStartAgain) {
  const auto result =
      run(runFile("hang", {"--steps", "6", "--fault", "step:5:1:hang"},
                  std::string(kQuick) + "deadlines: {startSeconds: 60, stepSeconds: 8, "
                                        "stopSeconds: 0.2}\n"),
          "a");
  ASSERT_EQ(result.exitCode, 0) << result.errorOutput;
  const auto kept = manifest("a");
  ASSERT_THAT(kept.attempts, SizeIs(2));
  EXPECT_EQ(kept.attempts[0].end, "hung");
  EXPECT_THAT(kept.attempts[0].reason,
              HasSubstr("past deadlines.stepSeconds; it stands at step 4"));
  EXPECT_EQ(kept.attempts[1].fromStep, 3U);
  expectNothingRuns();
}

TEST_F(TrainProgram, WhatCannotGetBetterIsNotTriedAgainAndTheRestIsBounded) {
  const auto refused = run(runFile("refuse", {"--fault", "start:0:1:refuse"}, kQuick), "refused");
  EXPECT_EQ(refused.exitCode, 1);
  EXPECT_THAT(manifest("refused").attempts, SizeIs(1));
  EXPECT_THAT(refused.errorOutput, HasSubstr("rank 1 (node localhost) ended with exit code 2"));
  EXPECT_THAT(refused.errorOutput, HasSubstr("retry.notAfter"));

  const auto missing = run(runFileOf("missing", "[/no/such/program]", kQuick), "missing");
  EXPECT_EQ(missing.exitCode, 1);
  EXPECT_THAT(manifest("missing").attempts, SizeIs(1));
  EXPECT_THAT(missing.errorOutput, HasSubstr("/no/such/program"));

  const auto bounded =
      run(runFileOf("bounded", "[sh, -c, 'exit 9']", "retry: {restarts: 2, backoffSeconds: 0}\n"),
          "bounded");
  EXPECT_EQ(bounded.exitCode, 1);
  EXPECT_THAT(manifest("bounded").attempts, SizeIs(3));
  EXPECT_THAT(bounded.errorOutput, HasSubstr("after 2 restarts, retry.restarts"));
}

TEST_F(TrainProgram, AWatcherThatIsKilledTakesAllWithItAndTheRunGoesOn) {
  ASSERT_EQ(run(runFile("calm", {"--steps", "40"}), "calm").exitCode, 0);
  // It stands at step 20 if the kill is late.
  auto process = startSlowly("40", 8, {"--fault", "step:20:1:hang"});
  process.kill();
  awaitUnlocked("a");
  const auto listed = train({"list", "--runs", folder_.string(), "--json"});
  EXPECT_THAT(listed.output, HasSubstr(R"("state":"killed")"));
  // It waits for the ranks that are still ending.
  const auto resumed = train({"resume", at("a")});
  ASSERT_EQ(resumed.exitCode, 0) << resumed.errorOutput;
  expectNothingRuns();
  EXPECT_GE(manifest("a").attempts.back().fromStep.value_or(0), 6U);
  EXPECT_EQ(compare("calm", "a").exitCode, 0);
  const auto again = train({"resume", at("a")});
  EXPECT_EQ(again.exitCode, 1);
  EXPECT_THAT(again.errorOutput, HasSubstr("has finished"));
}

TEST_F(TrainProgram, StopAndCtrlCEndItInOrderAndResumeGoesOn) {
  auto process = startSlowly("600", 4);
  const auto limit = inAMinute();
  const auto busy = train({"resume", at("a")});
  EXPECT_EQ(busy.exitCode, 1);
  EXPECT_THAT(busy.errorOutput, HasSubstr("railhead train stop"));
  const auto stopped = train({"stop", at("a")});
  EXPECT_EQ(stopped.exitCode, 0) << stopped.errorOutput;
  while (!process.ended() && std::chrono::steady_clock::now() < limit)
    std::this_thread::sleep_for(10ms);
  EXPECT_EQ(process.exitCode(), 1);
  EXPECT_EQ(manifest("a").state, "stopped");
  expectNothingRuns();

  os::BoundProcessSpec spec;
  spec.argv = {RAILHEAD_PROGRAM, "train", "resume", at("a")};
  auto second = os::BoundProcess::start(spec, "/dev/null").value();
  while (manifest("a").attempts.size() < 2 && std::chrono::steady_clock::now() < limit)
    std::this_thread::sleep_for(10ms);
  second.signal(SIGINT);
  while (!second.ended() && std::chrono::steady_clock::now() < limit)
    std::this_thread::sleep_for(10ms);
  EXPECT_EQ(second.exitCode(), 130);
  EXPECT_EQ(manifest("a").state, "interrupted");
  expectNothingRuns();
  EXPECT_EQ(train({"resume", at("a")}).exitCode, 0);
  EXPECT_EQ(manifest("a").metrics.steps, 600U);
}

// As by ssh: the far end is in a session of its own and knows us by its standard streams alone; a
// signal ends what stands for it here, and nobody hears it any more.
constexpr char kSsh[] =
    "#!/bin/bash\n"
    "set -o pipefail\n"
    "cat | setsid sh -c \"${!#}\" 2>&1 >/dev/null | cat >&2\n";

TEST_F(TrainProgram, FarRanksAreHeardWhileTheyStop) {
  std::ofstream(at("ssh")) << kSsh;
  std::filesystem::permissions(at("ssh"), std::filesystem::perms::owner_all);
  std::ofstream(at("saves.sh")) << "trap 'sleep 0.3; echo saved; exit 0' TERM\n"
                                   "echo ready\n"
                                   "while :; do sleep 0.05; done\n";
  const auto both = [&](const char* line) {
    return testing_support::readText(folderOf("a").logFile(0)).find(line) != std::string::npos &&
           testing_support::readText(folderOf("a").logFile(1)).find(line) != std::string::npos;
  };
  os::BoundProcessSpec spec;
  spec.argv = {RAILHEAD_PROGRAM, "train",   "run",      runFileOf("far", "[sh, saves.sh]", kQuick),
               "--on",           "ssh:a,b", "--folder", at("a")};
  const auto programs = std::filesystem::path(RAILHEAD_PROGRAM).parent_path().string();
  spec.environment = {{"PATH", folder_.string() + ":" + programs + ":" + std::getenv("PATH")}};
  auto process = os::BoundProcess::start(spec, "/dev/null").value();
  const auto limit = inAMinute();
  while (!both("ready") && std::chrono::steady_clock::now() < limit)
    std::this_thread::sleep_for(10ms);
  ASSERT_EQ(train({"stop", at("a")}).exitCode, 0);
  while (!process.ended() && std::chrono::steady_clock::now() < limit)
    std::this_thread::sleep_for(10ms);
  EXPECT_EQ(manifest("a").state, "stopped");
  EXPECT_TRUE(both("saved"));
  expectNothingRuns();
}

TEST_F(TrainProgram, HostsThatSshDoesNotReachAreTheEnvironments) {
  std::ofstream(at("ssh")) << "#!/bin/sh\necho 'ssh: connect to host b: No route' >&2\nexit 255\n";
  std::filesystem::permissions(at("ssh"), std::filesystem::perms::owner_all);
  os::ProcessSpec spec;
  spec.argv = {
      "env",
      "PATH=" + folder_.string() + ":" + std::getenv("PATH"),
      RAILHEAD_PROGRAM,
      "train",
      "run",
      runFileOf("far", "[sh, -c, \"true\"]", "retry: {restarts: 1, backoffSeconds: 0.01}\n"),
      "--on",
      "ssh:a,b",
      "--folder",
      at("a")};
  const auto result = os::SystemProcessRunner().run(spec).value();
  EXPECT_EQ(result.exitCode, 4) << result.errorOutput;
  EXPECT_THAT(result.errorOutput, HasSubstr("ended with exit code 255: ssh: connect to host b"));
  EXPECT_THAT(result.errorOutput, HasSubstr("check that `ssh HOST true` works"));
  EXPECT_EQ(manifest("a").state, "failed");
}

TEST_F(TrainProgram, LinesOfOutputAreMetricsWhereTheFileIsNotWritten) {
  ASSERT_EQ(run(runFile("file", {"--steps", "6"}), "file").exitCode, 0);
  const auto lines = run(runFile("lines", {"--steps", "6", "--quiet"}), "lines", {"--json"});
  ASSERT_EQ(lines.exitCode, 0) << lines.errorOutput;
  EXPECT_EQ(steps("lines"), steps("file"));
  EXPECT_EQ(steps("lines", 1), steps("file", 1));
  std::vector<json> events;
  for (const auto line : split(lines.output, '\n')) {
    if (!line.empty()) events.push_back(json::parse(line));
  }
  ASSERT_GT(events.size(), 8U);
  EXPECT_EQ(events.front()["event"], "started");
  EXPECT_EQ(events.back()["event"], "ended");
  EXPECT_EQ(events.back()["state"], "finished");
}

TEST_F(TrainProgram, TwoRunsThatPartAreToldWhereAndByWhat) {
  ASSERT_EQ(run(runFile("pair", {"--steps", "10"}), "a").exitCode, 0);
  ASSERT_EQ(run(runFile("pair", {"--steps", "10", "--drift", "7"}), "b").exitCode, 0);
  const auto parted = compare("a", "b", {"--json"});
  EXPECT_EQ(parted.exitCode, 3);
  const json found = json::parse(parted.output);
  EXPECT_EQ(found["sameness"], "different");
  EXPECT_EQ(found["difference"]["step"], 7);
  EXPECT_EQ(found["difference"]["what"], "the loss of rank 0");
  bool explained = false;
  for (const auto& field : found["fields"]) explained |= field["field"] == "command[3]";
  EXPECT_TRUE(explained) << found["fields"].dump(1);
  const auto close = compare("a", "b", {"--within", "1e-6"});
  EXPECT_EQ(close.exitCode, 0) << close.output;
  EXPECT_THAT(close.output, HasSubstr("equal within"));
  ASSERT_EQ(run(runFile("pair", {"--steps", "9"}), "short").exitCode, 0);
  const auto shorter = compare("a", "short");
  EXPECT_EQ(shorter.exitCode, 3);
  EXPECT_THAT(shorter.output, HasSubstr("first at step 10, the loss of rank 0: only in the first"));
}

TEST_F(TrainProgram, AReplayIsARunOfItsOwnAndCompared) {
  ASSERT_EQ(run(runFile("pair", {"--steps", "7"}), "a").exitCode, 0);
  const auto replayed = train({"replay", at("a"), "--folder", at("b")});
  EXPECT_EQ(replayed.exitCode, 0) << replayed.errorOutput;
  EXPECT_THAT(replayed.output, HasSubstr("bitwise equal"));
  EXPECT_EQ(manifest("b").replayOf, "a");
  EXPECT_THAT(train::differences(manifest("a"), manifest("b")), IsEmpty());
}

TEST_F(TrainProgram, ChangedDataAreRefusedWithTheFieldAndNothingIsMade) {
  std::ofstream(at("tokens")) << "the data";
  const auto file = runFile("data", {"--steps", "4"},
                            "data: [{path: tokens, sha256: " + std::string(64, 'a') + "}]\n");
  const auto refused = run(file, "a");
  EXPECT_EQ(refused.exitCode, 3);
  EXPECT_THAT(refused.errorOutput, HasSubstr("data.yaml:5: data[0].sha256 is aaaa"));
  EXPECT_THAT(refused.errorOutput, HasSubstr("remedy: bring the data back"));
  EXPECT_FALSE(std::filesystem::exists(at("a")));

  // And those that change between a run and what goes on with it.
  ASSERT_EQ(run(runFile("data", {"--steps", "4", "--fault", "step:4:0:refuse"},
                        "data: [{path: tokens}]\n"),
                "b")
                .exitCode,
            1);
  std::ofstream(at("tokens")) << "others";
  const auto before = testing_support::readText(at("b") + "/manifest.json");
  const auto resumed = train({"resume", at("b")});
  EXPECT_EQ(resumed.exitCode, 3);
  EXPECT_THAT(resumed.errorOutput, HasSubstr("data[0].sha256: tokens has"));
  EXPECT_EQ(testing_support::readText(at("b") + "/manifest.json"), before);
}

// A run that stopped at step 8, with checkpoints of the steps 3 and 6.
class BrokenCheckpoint : public TrainFixture {
 protected:
  void SetUp() override {
    const auto stopped =
        run(runFile("broken", {"--steps", "10", "--fault", "step:8:0:refuse"}), "a");
    ASSERT_EQ(stopped.exitCode, 1);
    ASSERT_THAT(checkpointNames("a"), ElementsAre("step-00000003", "step-00000006"));
  }
  std::string fileOf(const char* step) const {
    return folderOf("a").checkpoints() + "/" + step + "/rank-0.safetensors";
  }
  static void spoil(const std::string& path) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-3, std::ios::end);
    file.put('!');
  }
};

TEST_F(BrokenCheckpoint, IsSetAsideAndAnOlderOneIsTaken) {
  spoil(fileOf("step-00000006"));
  const auto resumed = train({"resume", at("a")});
  EXPECT_EQ(resumed.exitCode, 0) << resumed.errorOutput;
  EXPECT_THAT(resumed.errorOutput, HasSubstr("rank-0.safetensors has the digest"));
  EXPECT_EQ(manifest("a").attempts.back().fromStep, 3U);
  EXPECT_THAT(checkpointNames("a"), testing::Contains("step-00000006.broken-1"));
}

TEST_F(BrokenCheckpoint, ThatIsTheLastOneIsRefusedAndNothingIsOverwritten) {
  spoil(fileOf("step-00000006"));
  std::filesystem::resize_file(fileOf("step-00000003"), 5);
  const auto before = testing_support::readText(at("a") + "/metrics/rank-0.jsonl");
  const auto resumed = train({"resume", at("a")});
  EXPECT_EQ(resumed.exitCode, 1);
  EXPECT_THAT(resumed.errorOutput, HasSubstr("nothing to go on from"));
  EXPECT_THAT(resumed.errorOutput, HasSubstr("nothing was changed"));
  EXPECT_THAT(checkpointNames("a"), ElementsAre("step-00000003", "step-00000006"));
  EXPECT_EQ(testing_support::readText(at("a") + "/metrics/rank-0.jsonl"), before);
}

TEST_F(BrokenCheckpoint, OfAnotherShapeIsRefusedByTheTrainer) {
  const auto other = run(runFile("other", {"--steps", "10", "--width", "32"}), "b");
  ASSERT_EQ(other.exitCode, 0);
  for (const char* step : {"step-00000003", "step-00000006"}) {
    const std::string own = folderOf("a").checkpoints() + "/" + step;
    std::filesystem::remove_all(own);
    const std::string theirs = folderOf("b").checkpoints() + "/" + step;
    if (std::filesystem::exists(theirs))
      std::filesystem::copy(theirs, own, std::filesystem::copy_options::recursive);
  }
  const auto resumed = train({"resume", at("a")});
  EXPECT_EQ(resumed.exitCode, 1);
  EXPECT_THAT(resumed.errorOutput, HasSubstr("model.width is 16"));
  EXPECT_THAT(resumed.errorOutput, HasSubstr("not tried again"));
}

}  // namespace
}  // namespace railhead
