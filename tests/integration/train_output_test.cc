// What `railhead train` prints, held against docs/reference/train.md; metrics for a scraper; what
// is checked before a start; a full disk.
#include "src/os/bound_process.h"
#include "src/os/tcp.h"
#include "src/os/unique_fd.h"
#include "tests/integration/train_fixture.h"

#include <array>
#include <csignal>
#include <thread>

#include <fcntl.h>

namespace railhead {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using namespace std::chrono_literals;

constexpr char kDocument[] = RAILHEAD_SOURCE "/docs/reference/train.md";

class TrainOutput : public TrainFixture {
 protected:
  std::string oneRank(const std::vector<std::string>& trainer) const {
    const std::string path = runFile("one", trainer);
    std::string text = testing_support::readText(path);
    text.replace(text.find("ranks: 2"), 8, "ranks: 1");
    std::ofstream(path) << text;
    return path;
  }
};

TEST_F(TrainOutput, TheDocumentNamesEveryFieldAndNoOther) {
  ASSERT_EQ(run(runFile("pair", {"--steps", "6"}), "runs/a").exitCode, 0);
  ASSERT_EQ(run(oneRank({"--steps", "6"}), "runs/b").exitCode, 0);
  auto parted = json::parse(compare("runs/a", "runs/b", {"--json"}).output);
  parted["notes"] = json::array();
  const auto text = testing_support::readText(kDocument);
  EXPECT_EQ(testing_support::documentedFields(text, "JSON of train compare"),
            testing_support::fieldsOf(parted));
  const auto listed = json::parse(train({"list", "--runs", at("runs"), "--json"}).output);
  EXPECT_EQ(testing_support::documentedFields(text, "JSON of train list"),
            testing_support::fieldsOf(listed));
  const auto shown = json::parse(train({"show", at("runs/a"), "--json"}).output);
  EXPECT_EQ(shown["schema"], "railhead.train.run/1");
  EXPECT_EQ(shown["state"], "finished");
  EXPECT_EQ(shown["steps"].size(), 6U);
  const auto words = train({"show", "a", "--runs", at("runs")}).output;
  EXPECT_THAT(words, HasSubstr("runs/a: finished"));
  EXPECT_THAT(words, HasSubstr("2 ranks on local"));
  // That a node told what it is, and what was set.
  const auto kept = manifest("runs/a");
  ASSERT_EQ(kept.place.nodes.size(), 1U);
  EXPECT_EQ(kept.place.nodes[0].node, "localhost");
  EXPECT_GT(kept.place.nodes[0].cpus, 0U);
  EXPECT_THAT(kept.place.order, ElementsAre("localhost", "localhost"));
}

// The stand-in's ranks do 100 tokens each, in a hundredth of a second.
TEST_F(TrainOutput, RunsOfOtherNumbersOfRanksTellTheScaling) {
  ASSERT_EQ(run(runFile("pair", {"--steps", "6"}), "pair").exitCode, 0);
  ASSERT_EQ(run(oneRank({"--steps", "6"}), "one").exitCode, 0);
  const auto words = compare("one", "pair");
  EXPECT_EQ(words.exitCode, 3);  // other losses
  EXPECT_THAT(words.output,
              HasSubstr("2 ranks do 2 times the tokens/s of 1: 100 % scaling efficiency"));
  const auto scaling = json::parse(compare("pair", "one", {"--json"}).output)["scaling"];
  EXPECT_EQ(scaling["fewer_ranks"], 1);
  EXPECT_EQ(scaling["more_ranks"], 2);
  EXPECT_NEAR(scaling["fewer_tokens_per_second"].get<double>(), 1e4, 1e-6);
  EXPECT_NEAR(scaling["efficiency"].get<double>(), 1, 1e-9);
  EXPECT_EQ(json::parse(compare("one", "one", {"--json"}).output)["scaling"], json(nullptr));
}

std::string metricsAt(const os::Endpoint& endpoint, os::Deadline limit) {
  const auto fd = os::connectTcp(endpoint, limit).value();
  ::fcntl(fd.get(), F_SETFL, 0);
  const std::string request = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
  EXPECT_EQ(::write(fd.get(), request.data(), request.size()),
            static_cast<ssize_t>(request.size()));
  std::string answer;
  std::array<char, 4096> chunk{};
  for (ssize_t got = 1; got > 0;) {
    got = ::read(fd.get(), chunk.data(), chunk.size());
    if (got > 0) answer.append(chunk.data(), static_cast<std::size_t>(got));
  }
  return answer;
}

TEST_F(TrainOutput, MetricsAreServedWhileItRuns) {
  const auto err = at("err");
  const os::UniqueFd file(::open(err.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  os::BoundProcessSpec spec;
  spec.argv = {RAILHEAD_PROGRAM,
               "train",
               "run",
               runFile("long", {"--steps", "500", "--step-ms", "20"}),
               "--folder",
               at("a"),
               "--metrics",
               "127.0.0.1:0"};
  spec.errors = file.get();
  auto process = os::BoundProcess::start(spec, "/dev/null").value();
  const auto limit = std::chrono::steady_clock::now() + 60s;
  while (steps("a").size() < 3 && std::chrono::steady_clock::now() < limit)
    std::this_thread::sleep_for(10ms);
  const auto said = testing_support::readText(err);
  const auto begin = said.find("http://") + 7;
  const auto endpoint = os::Endpoint::parse(said.substr(begin, said.find("/metrics") - begin));
  ASSERT_TRUE(endpoint.has_value()) << said;
  std::string answer;
  // Steps that are in the file are told a moment later.
  do answer = metricsAt(*endpoint, limit);
  while (answer.find("\nrailhead_train_step{") == std::string::npos &&
         std::chrono::steady_clock::now() < limit);
  const auto document = testing_support::readText(kDocument);
  for (const char* name :
       {"railhead_train_running", "railhead_train_start", "railhead_train_failures_total",
        "railhead_train_step", "railhead_train_loss", "railhead_train_step_seconds",
        "railhead_train_tokens_per_second", "railhead_train_exposed_ratio"}) {
    EXPECT_THAT(answer, HasSubstr("\n" + std::string(name) + "{run=\"a\"}"));
    EXPECT_THAT(document, HasSubstr("`" + std::string(name) + "`"));
  }
  process.signal(SIGTERM);
  while (!process.ended() && std::chrono::steady_clock::now() < limit)
    std::this_thread::sleep_for(10ms);
  EXPECT_EQ(process.exitCode(), 128 + SIGTERM);
  expectNothingRuns();
}

TEST_F(TrainOutput, AMetricsPortOfAnotherLeavesNothingBehind) {
  const auto taken = os::listenTcp(*os::Endpoint::parse("127.0.0.1:0"));
  ASSERT_TRUE(taken.has_value()) << taken.error().describe();
  const std::string port = os::boundEndpoint(taken->get())->toString();
  const auto file = runFile("pair", {"--steps", "6"});
  const auto refused = run(file, "runs/a", {"--metrics", port});
  EXPECT_EQ(refused.exitCode, 1);
  EXPECT_THAT(refused.errorOutput, HasSubstr("--metrics: listen on " + port));
  EXPECT_FALSE(std::filesystem::exists(at("runs")));
  ASSERT_EQ(run(file, "runs/a").exitCode, 0);
  auto killed = manifest("runs/a");
  killed.state = "running";
  std::ofstream(at("runs/a/manifest.json")) << train::writeManifest(killed);
  EXPECT_EQ(train({"resume", at("runs/a"), "--metrics", port}).exitCode, 1);
  EXPECT_EQ(manifest("runs/a"), killed);
}

// What a killed watcher and its ranks leave: a manifest as of some checkpoint, metrics and
// checkpoints beyond it.
TEST_F(TrainOutput, AListTellsHowFarAKilledRunCameAndNamesDamagedOnes) {
  for (const char* name : {"runs/a", "runs/b", "runs/c"})
    ASSERT_EQ(run(runFile("pair", {"--steps", "6"}), name).exitCode, 0);
  auto killed = manifest("runs/a");
  killed.state = "running";
  killed.metrics = {};
  killed.checkpoints.clear();
  std::ofstream(at("runs/a/manifest.json")) << train::writeManifest(killed);
  const std::string whole = testing_support::readText(at("runs/b/manifest.json"));
  std::ofstream(at("runs/b/manifest.json")) << whole.substr(0, whole.size() / 2);
  std::filesystem::remove(at("runs/c/manifest.json"));
  std::filesystem::create_directories(at("runs/none"));
  const auto rows = json::parse(train({"list", "--runs", at("runs"), "--json"}).output)["runs"];
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows[0]["state"], "killed");
  EXPECT_EQ(rows[0]["remedy"], "railhead train resume " + at("runs/a"));
  EXPECT_THAT(std::string(rows[1]["reason"]), HasSubstr("manifest.json is not valid JSON"));
  EXPECT_THAT(std::string(rows[2]["reason"]), HasSubstr("manifest.json is missing"));
  for (const auto& row : rows) EXPECT_EQ(row["step"], 6) << row;
  for (std::size_t i = 1; i < 3; ++i) {
    EXPECT_EQ(rows[i]["state"], "damaged");
    EXPECT_THAT(std::string(rows[i]["remedy"]), HasSubstr("put manifest.json back"));
  }
  const auto words = train({"list", "--runs", at("runs")}).output;
  EXPECT_THAT(words, HasSubstr("b is damaged: "));
  EXPECT_THAT(words, HasSubstr("remedy: put manifest.json back"));
  const auto shown = json::parse(train({"show", at("runs/a"), "--json"}).output);
  EXPECT_EQ(shown["manifest"]["metrics"]["steps"], 6);
  EXPECT_EQ(shown["manifest"]["checkpoints"].back()["step"], 6);
  // One that tells no steps still writes checkpoints.
  std::filesystem::remove(at("runs/a/metrics/rank-0.jsonl"));
  EXPECT_THAT(train({"show", at("runs/a")}).output, HasSubstr("6 steps"));
  for (const char* damaged : {"b", "c"}) {
    const auto refused = train({"show", damaged, "--runs", at("runs")});
    EXPECT_EQ(refused.exitCode, 1);
    EXPECT_THAT(refused.errorOutput, HasSubstr("put manifest.json back"));
  }
  EXPECT_THAT(train({"show", at("runs/none")}).errorOutput, HasSubstr("is no run"));
  // A killed run's last start ended so, in words and in JSON.
  auto open = manifest("runs/a");
  open.attempts.back().end = "running";
  std::ofstream(at("runs/a/manifest.json")) << train::writeManifest(open);
  const auto start = json::parse(train({"show", at("runs/a"), "--json"}).output)["manifest"];
  EXPECT_EQ(start["attempts"].back()["end"], "killed");
}

TEST_F(TrainOutput, AListTellsWhatIsNotKnownAndWhatNeverBegan) {
  for (const char* name : {"runs/a", "runs/b"})
    ASSERT_EQ(run(runFile("pair", {"--steps", "6"}), name).exitCode, 0);
  // Metrics that cannot be read, with checkpoints and without.
  for (const char* name : {"runs/a", "runs/b"}) {
    std::filesystem::remove(at(name) + "/manifest.json");
    std::filesystem::remove(at(name) + "/metrics/rank-0.jsonl");
    std::filesystem::create_directories(at(name) + "/metrics/rank-0.jsonl");
  }
  std::filesystem::remove_all(at("runs/b/checkpoints"));
  std::filesystem::create_directories(at("runs/b/checkpoints"));
  const auto files = os::RootedFilesystem::open("/");
  ASSERT_TRUE(folderOf("runs/c").create(**files, "").has_value());
  const auto rows = json::parse(train({"list", "--runs", at("runs"), "--json"}).output)["runs"];
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows[0]["state"], "damaged");
  EXPECT_EQ(rows[0]["step"], 6);
  EXPECT_EQ(rows[0]["loss"], nullptr);
  EXPECT_EQ(rows[1]["state"], "damaged");
  EXPECT_EQ(rows[1]["step"], nullptr);
  EXPECT_EQ(rows[2]["state"], "unstarted");
  EXPECT_EQ(rows[2]["step"], nullptr);
  const auto words = train({"list", "--runs", at("runs")}).output;
  EXPECT_THAT(words, HasSubstr("c is unstarted: "));
  EXPECT_THAT(words, HasSubstr("remedy: remove the folder"));
}

TEST_F(TrainOutput, AWholeRunGoesBeforeTheRemainsOfOneOfItsName) {
  ASSERT_EQ(run(runFile("pair", {"--steps", "6"}), "runs/a").exitCode, 0);
  const auto files = os::RootedFilesystem::open("/");
  ASSERT_TRUE(folderOf("a").create(**files, "").has_value());
  os::ProcessSpec spec;
  spec.argv = {"sh", "-c", "cd \"$1\" && \"$2\" train show a", "sh", at(""), RAILHEAD_PROGRAM};
  spec.deadline = 60s;
  const auto shown = os::SystemProcessRunner().run(spec);
  ASSERT_TRUE(shown.has_value());
  EXPECT_EQ(shown->exitCode, 0) << shown->errorOutput;
  EXPECT_THAT(shown->output, HasSubstr("runs/a: finished"));
}

TEST_F(TrainOutput, AVerdictThatIsNotAsExpectedStopsItBeforeTheStart) {
  const auto result =
      run(runFile("gate", {}, "verify: {expect: rdma, backend: host, transport: tcp}\n"), "a");
  EXPECT_EQ(result.exitCode, 3);
  EXPECT_THAT(result.errorOutput, HasSubstr("the verdict is sockets; expected: rdma"));
  EXPECT_FALSE(std::filesystem::exists(at("a")));
  const auto any =
      run(runFile("any", {"--steps", "3"}, "verify: {backend: host, transport: tcp}\n"), "b");
  EXPECT_EQ(any.exitCode, 0) << any.errorOutput;
  ASSERT_TRUE(manifest("b").verdict.has_value());
  EXPECT_EQ(manifest("b").verdict->verdict, "sockets");
}

TEST_F(TrainOutput, WrongWordsAreExitTwoWithTheLine) {
  const auto unknown = run(runFile("bad", {}, "stepz: 3\n"), "a");
  EXPECT_EQ(unknown.exitCode, 2);
  EXPECT_THAT(unknown.errorOutput, HasSubstr("bad.yaml:5: stepz is unknown"));
  const auto world = run(runFile("world", {}), "a", {"--on", "local:3"});
  EXPECT_EQ(world.exitCode, 2);
  EXPECT_THAT(world.errorOutput, HasSubstr("--on local:3 has room for 3 ranks and "));
  EXPECT_THAT(world.errorOutput, HasSubstr("world.yaml:4: ranks is 2"));
  const std::pair<const char*, const char*> places[] = {
      {"on: nowhere\n", "place.yaml:5: on 'nowhere': it is none of the places"},
      {"on: ssh:a\n", "place.yaml:5: on ssh:a has room for 1 rank and "},
      {"profile: none.yaml\n", "place.yaml:5: profile: open "},
      {"profile: place.yaml\n", "place.yaml:5: profile: "},
      {"on: kubernetes\n", "place.yaml: image is missing, and pods need one"},
      {"image: a\non: kubernetes\nranksPerNode: 2\n", "place.yaml:7: ranksPerNode is 2"},
      {"data: [{path: none}]\n", "place.yaml:5: data[0].path: open "},
  };
  for (const auto& [more, says] : places) {
    const auto wrong = run(runFile("place", {}, more), "a");
    EXPECT_NE(wrong.exitCode, 0) << more;
    EXPECT_THAT(wrong.errorOutput, HasSubstr(says));
  }
  const auto large = run(runFile("large", {}, "# " + std::string(300'000, 'x') + "\n"), "a");
  EXPECT_THAT(large.errorOutput, HasSubstr("longer than the 262144 bytes allowed"));
  EXPECT_THAT(large.errorOutput, HasSubstr("remedy: keep scripts and data in files of their own"));
  const auto lab =
      train({"run", runFile("lab", {}), "--on", "lab", "--folder", "/tmp/not-below-it"});
  EXPECT_EQ(lab.exitCode, 2);
  EXPECT_THAT(lab.errorOutput, HasSubstr("the nodes share the run file's folder"));
  const auto place =
      train({"run", runFile("place", {}, "on: lab\n"), "--folder", "/tmp/not-below-it"});
  EXPECT_THAT(place.errorOutput, HasSubstr("place.yaml:5: on lab: the nodes share"));
  EXPECT_FALSE(std::filesystem::exists("/tmp/not-below-it"));
  EXPECT_FALSE(std::filesystem::exists(at("a")));
  ASSERT_EQ(run(runFile("pair", {"--steps", "3"}), "b").exitCode, 0);
  const auto before = testing_support::readText(at("b") + "/manifest.json");
  const auto taken = run(runFile("pair", {"--steps", "3"}), "b");
  EXPECT_EQ(taken.exitCode, 1);
  EXPECT_THAT(taken.errorOutput, HasSubstr("nothing was changed"));
  EXPECT_EQ(testing_support::readText(at("b") + "/manifest.json"), before);
  EXPECT_EQ(train({"logs", at("nowhere")}).exitCode, 1);
  EXPECT_THAT(train({"logs", at("b"), "--rank", "7"}).errorOutput,
              HasSubstr("its ranks are 0 to 1"));
  // A name that ends as a folder's may.
  EXPECT_EQ(run(runFile("pair", {"--steps", "3"}), "c/").exitCode, 0);
  EXPECT_EQ(manifest("c").id, "c");
}

// On a file system of its own that has room for two checkpoints.
TEST_F(TrainOutput, AFullDiskIsNamedAndWhatWasWholeStays) {
  const auto file = runFile("full", {"--steps", "12", "--width", "8192"},
                            "checkpoints: {keep: 0}\nretry: {restarts: 1, backoffSeconds: 0}\n");
  const auto result =
      onSmallDisk("400k",
                  "\"$2\" train run \"$3\" --folder \"$1/a\"; code=$?\n"
                  "\"$2\" train list --runs \"$1\" --json; ls \"$1/a/checkpoints\"; exit $code",
                  {file});
  if (!result.has_value()) GTEST_SKIP() << "no small file system can be mounted here";
  expectFullAfterTwo(*result);
  EXPECT_THAT(result->output, HasSubstr(R"("run":"a")"));  // its manifest can be read
}

}  // namespace
}  // namespace railhead
