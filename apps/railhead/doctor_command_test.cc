#include "apps/railhead/command_line.h"
#include "apps/railhead/doctor_output.h"
#include "tests/support/documented_fields.h"

#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace railhead::app {
namespace {

using testing::HasSubstr;
using testing::Not;
namespace doctor = verify::doctor;

std::vector<doctor::CheckResult> results() {
  return {{"one-twin-down",
           "",
           {{doctor::Severity::kDegraded, "rocep1s0f1", "no carrier", "11-12 of 24.5 GB/s",
             "plug it in"}}},
          {"no-ipv4-gid",
           "",
           {{doctor::Severity::kBroken, "rocep1s0f0", "no GID", "silent sockets", "give it one"}}},
          {"nccl-conf", "", {}},
          {"socket-fallback", "no NCCL log: give it with --log", {}}};
}

std::string screenOf(const std::string& document, bool all) {
  std::ostringstream out;
  const auto printed = printDoctor(out, document, all, {});
  EXPECT_TRUE(printed.has_value()) << printed.error().message;
  return out.str();
}

struct Ran {
  ExitCode exitCode;
  std::string out, err;
};
Ran run(std::vector<std::string> words) {
  words.insert(words.begin(), {"railhead", "doctor"});
  std::ostringstream out, err;
  Context context{out, err, false, "railhead"};
  const ExitCode code = runCommandLine(words, context);
  return {code, out.str(), err.str()};
}

TEST(DoctorOutput, TheGravestComesFirst) {
  const std::string screen =
      screenOf(doctorJson("spark-a", doctor::Place::kNode, results()), false);
  EXPECT_THAT(screen, HasSubstr("spark-a\n  broken  no-ipv4-gid: rocep1s0f0\n"
                                "    evidence: no GID\n    consequence: silent sockets\n"
                                "    remedy: give it one\n  degraded  one-twin-down"));
  EXPECT_THAT(screen, HasSubstr("1 of 4 checks found nothing, 1 could not look (--all says why)"));
  EXPECT_THAT(screen, Not(HasSubstr("--log")));
}

TEST(DoctorOutput, AllTellsWhatIsWellAndWhatCouldNotLook) {
  const std::string screen = screenOf(doctorJson("a", doctor::Place::kPod, results()), true);
  EXPECT_THAT(screen, HasSubstr("well  nccl-conf"));
  EXPECT_THAT(screen, HasSubstr("did not look  socket-fallback: no NCCL log"));
}

TEST(DoctorOutput, NodesAreJoinedAndSilentOnesNamed) {
  const std::string own = doctorJson("pod-name", doctor::Place::kNode, results());
  const std::string joined = joinedDoctorJson({{"spark-a", own, ""},
                                               {"spark-b", "", "exec failed"},
                                               {"spark-c", "Segmentation fault", ""},
                                               {"spark-d", R"({"schema":"x/1","nodes":[]})", ""}});
  const auto tally = tallyOf(joined);
  ASSERT_TRUE(tally.has_value()) << tally.error().message;
  EXPECT_EQ(tally->nodes, 4);
  EXPECT_EQ(tally->silent, 3);
  EXPECT_EQ(tally->broken, 1);
  EXPECT_EQ(tally->degraded, 1);
  const std::string screen = screenOf(joined, false);
  EXPECT_THAT(screen, HasSubstr("spark-a\n  broken"));
  EXPECT_THAT(screen, HasSubstr("spark-b\n  not looked at: exec failed"));
  EXPECT_THAT(screen, HasSubstr("spark-c\n  not looked at: not a document of railhead doctor"));
}

TEST(DoctorOutput, ABadNodeIsItsOwnProblemAlone) {
  const std::string own = doctorJson("x", doctor::Place::kNode, results());
  for (
      const char* node :
      {"7", "{}", "null", "\"x\"",
       R"({"node":"x","place":"node","problem":"","checks":[{"check":"a","cannot_run":""}]})",
       R"({"node":"x","place":"node","problem":"","checks":[{"check":"a","cannot_run":"","findings":
            [{"severity":"awful","subject":"","evidence":"","consequence":"","remedy":""}]}]})"}) {
    const std::string bad = std::string(R"({"schema":"railhead.doctor/1","nodes":[)") + node + "]}";
    const auto tally = tallyOf(joinedDoctorJson({{"good", own, ""}, {"bad", bad, ""}}));
    ASSERT_TRUE(tally.has_value()) << node << ": " << tally.error().message;
    EXPECT_EQ(tally->silent, 1) << node;
    EXPECT_EQ(tally->broken, 1) << node;
  }
}

TEST(DoctorOutput, ForeignDocumentsAreErrors) {
  for (const char* text : {"", "[]", "{}", R"({"schema":"railhead.doctor/1"})",
                           R"({"schema":"railhead.doctor/1","nodes":[{"problem":3}]})",
                           R"({"schema":"railhead.doctor/1","nodes":7})"}) {
    std::ostringstream out;
    const auto printed = printDoctor(out, text, true, {});
    ASSERT_FALSE(printed.has_value()) << text;
    EXPECT_EQ(printed.error().code, ErrorCode::kCorrupt) << text;
  }
}

TEST(DoctorOutput, EveryFieldIsInTheReference) {
  const auto json = nlohmann::json::parse(doctorJson("a", doctor::Place::kNode, results()));
  const auto text = testing_support::readText("docs/reference/doctor.md");
  EXPECT_EQ(testing_support::documentedFields(text, "JSON of doctor"),
            testing_support::fieldsOf(json));
}

TEST(DoctorCommand, LooksAtThisMachine) {
  const Ran ran = run({"--json", "--place", "node"});
  EXPECT_TRUE(ran.exitCode == ExitCode::kOk || ran.exitCode == ExitCode::kCheckFailed) << ran.err;
  const auto json = nlohmann::json::parse(ran.out);
  EXPECT_EQ(json.at("nodes").at(0).at("checks").size(), doctor::checks().size());
}

TEST(DoctorCommand, OneCheckAlone) {
  const Ran ran = run({"--json", "--check", "nccl-conf"});
  const auto checks = nlohmann::json::parse(ran.out).at("nodes").at(0).at("checks");
  ASSERT_EQ(checks.size(), 1U);
  EXPECT_EQ(checks[0].at("check"), "nccl-conf");
}

TEST(DoctorCommand, WrongWordsAreExitTwo) {
  const Ran check = run({"--check", "no-such"});
  EXPECT_EQ(check.exitCode, ExitCode::kUsage);
  EXPECT_THAT(check.err, HasSubstr("railhead doctor --list"));
  const Ran rate = run({"--rail-rate", "mlx5_0"});
  EXPECT_EQ(rate.exitCode, ExitCode::kUsage);
  EXPECT_THAT(rate.err, HasSubstr("mlx5_0=97Gbit"));
  EXPECT_EQ(run({"--place", "moon"}).exitCode, ExitCode::kUsage);
  const Ran far = run({"--lab", "none", "--rail-rate", "mlx5_0=1Gbit"});
  EXPECT_EQ(far.exitCode, ExitCode::kUsage);
  EXPECT_THAT(far.err, HasSubstr("--rail-rate"));
  EXPECT_EQ(run({"--log", "/none/such"}).exitCode, ExitCode::kUsage);
  const Ran device = run({"--rail-rate", "no_such0=1Gbit"});
  EXPECT_EQ(device.exitCode, ExitCode::kUsage);
  EXPECT_THAT(device.err, HasSubstr("no_such0': no such RDMA device here"));
  const Ran log = run({"--log", "/proc/self/status"});
  EXPECT_EQ(log.exitCode, ExitCode::kUsage);
  EXPECT_THAT(log.err, HasSubstr("no line of NCCL's is in it"));
}

TEST(DoctorCommand, ListNamesEveryCheck) {
  const Ran ran = run({"--list"});
  EXPECT_EQ(ran.exitCode, ExitCode::kOk);
  for (const auto& check : doctor::checks())
    EXPECT_THAT(ran.out, HasSubstr(std::string(check.id) + " "));
  const auto json = nlohmann::json::parse(run({"--list", "--json"}).out);
  EXPECT_EQ(json.at("checks").size(), doctor::checks().size());
  EXPECT_EQ(json.at("checks").at(0).at("check"), doctor::checks().front().id);
}

}  // namespace
}  // namespace railhead::app
