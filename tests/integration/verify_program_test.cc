// `railhead verify` as a user starts it: two ranks of this machine, whose bytes go by sockets.
#include "src/os/process.h"
#include "tests/support/documented_fields.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace railhead {
namespace {

using testing::HasSubstr;
using namespace std::chrono_literals;

os::ProcessResult verify(std::vector<std::string> more) {
  os::ProcessSpec spec;
  spec.argv = {RAILHEAD_PROGRAM, "verify",      "--on", "local:2",   "--backend",
               "host",           "--transport", "tcp",  "--seconds", "0.3"};
  spec.argv.insert(spec.argv.end(), more.begin(), more.end());
  spec.deadline = 90s;
  auto result = os::SystemProcessRunner().run(spec);
  EXPECT_TRUE(result.has_value()) << result.error().describe();
  return result.has_value() ? *result : os::ProcessResult{};
}

TEST(Verify, BytesByTcpAreSocketsWithTheirEvidence) {
  const auto result = verify({"--json"});
  ASSERT_EQ(result.exitCode, 0) << result.errorOutput;
  const auto json = nlohmann::json::parse(result.output);
  EXPECT_EQ(json.at("verdict"), "sockets") << json.dump(1);
  ASSERT_EQ(json.at("directions").size(), 2U);
  bool counted = false;
  for (const auto& piece : json.at("directions").at(0).at("evidence")) {
    counted =
        counted || (piece.at("source") == "socket-counters" && piece.at("supports") == "sockets");
  }
  EXPECT_TRUE(counted) << json.at("directions").at(0).at("evidence").dump(1);
  EXPECT_GT(json.at("ranks").at(1).at("bytes_checked").get<std::uint64_t>(), 0U);
}

TEST(Verify, ThatIsNotRdmaSoTheGateIsExitThreeWithTheResultShown) {
  const auto result = verify({"--expect", "rdma"});
  EXPECT_EQ(result.exitCode, 3);
  EXPECT_THAT(result.output, HasSubstr("verdict: sockets"));
  EXPECT_THAT(result.output, HasSubstr("not as expected"));
  EXPECT_THAT(result.errorOutput, HasSubstr("railhead: "));
}

TEST(Verify, TheDocumentNamesEveryFieldAndNoOther) {
  const auto text = testing_support::readText(RAILHEAD_SOURCE "/docs/reference/verify.md");
  auto result = verify({"--json", "--expect", "rdma"});
  auto json = nlohmann::json::parse(result.output);
  // What this path has none of.
  json["directions"][0]["findings"].push_back({{"kind", "share"}, {"text", ""}});
  EXPECT_EQ(testing_support::documentedFields(text, "JSON of verify"),
            testing_support::fieldsOf(json));
}

// A worse end stays what it is.
TEST(Verify, OutputThatCannotBeWrittenIsSaidWithTheReason) {
  const auto run = [](const std::string& words) {
    const auto ran = os::SystemProcessRunner().run(
        {.argv = {"sh", "-c", std::string(RAILHEAD_PROGRAM) + " " + words + " >/dev/full"},
         .deadline = 90s});
    EXPECT_TRUE(ran.has_value()) << ran.error().describe();
    return ran.has_value() ? *ran : os::ProcessResult{};
  };
  const auto listed = run("doctor --list");
  EXPECT_EQ(listed.exitCode, 1);
  EXPECT_THAT(listed.errorOutput, HasSubstr("could not write the output: No space left on device"));
  const auto verified =
      run("verify --on local:2 --backend host --transport tcp --seconds 0.3 --expect rdma");
  EXPECT_EQ(verified.exitCode, 3);
  EXPECT_THAT(verified.errorOutput, HasSubstr("could not write the output"));
}

TEST(Verify, WrongWordsAreExitTwo) {
  const auto expectation = verify({"--expect", "fast"});
  EXPECT_EQ(expectation.exitCode, 2);
  EXPECT_THAT(expectation.errorOutput, HasSubstr("--expect: path 'fast': expected gdr or rdma\n"));
  const auto share = verify({"--min-share", "90"});
  EXPECT_EQ(share.exitCode, 2);
  const auto rate = verify({"--line-rate", "fast"});
  EXPECT_EQ(rate.exitCode, 2);
  EXPECT_THAT(rate.errorOutput, HasSubstr("--line-rate"));
}

TEST(Verify, MessagesThatWouldNotFitTheMemoryAreRefusedBeforeAnyOfItIsTaken) {
  const auto result = verify({"--message", "1TiB"});
  EXPECT_EQ(result.exitCode, 2);
  EXPECT_EQ(result.output, "");
  EXPECT_THAT(result.errorOutput, HasSubstr("--message 1 TiB: 2 ranks here would need 6 TiB of "));
  EXPECT_THAT(result.errorOutput, HasSubstr("  remedy: give at most "));
  EXPECT_THAT(result.errorOutput, HasSubstr(" with --message\n"));
}

}  // namespace
}  // namespace railhead
