#include "apps/railhead/command_line.h"
#include "apps/railhead/node_answers.h"
#include "apps/railhead/status_view.h"
#include "src/report/terminal/text_width.h"

#include <fstream>
#include <mutex>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace railhead::app {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

const std::vector<std::string> kCommand{"railhead-agent", "status"};

std::string recorded() {
  std::ifstream in("tests/fixtures/status/spark-a.json");
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

std::string screenOf(const std::vector<NodeAnswer>& answers, const report::TerminalStyle& style) {
  std::ostringstream out;
  printStatus(out, checkedAnswers(answers), style);
  return out.str();
}

std::string lineWith(const std::string& text, const std::string& part) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.find(part) != std::string::npos) return line;
  }
  return {};
}

TEST(StatusView, ShowsNodesLinksTwinsAndHolders) {
  const std::string text =
      screenOf({{"spark-a", recorded(), ""}, {"spark-b", "", "node is away"}}, {});
  EXPECT_THAT(text,
              HasSubstr("✗ spark-a  nvidia.com/cx7_qsfp 1 of 2 healthy; nvidia.com/gpu 1 of 1 "
                        "healthy, waiting: kubelet is away; 1 rail sets lack a VF\n"));
  EXPECT_THAT(text, HasSubstr("✗ spark-b  node is away\n"));
  const std::string good = lineWith(text, "200 Gb/s");
  EXPECT_THAT(good, HasSubstr("enp1s0f0np0"));
  EXPECT_THAT(good, HasSubstr("x4 32 GT/s  "));
  EXPECT_THAT(good, HasSubstr("cage 1"));
  EXPECT_THAT(good, HasSubstr("2 of 16"));
  const std::string dark = lineWith(text, "no carrier  ");
  EXPECT_THAT(dark, HasSubstr("enP2p1s0f0np0"));
  EXPECT_THAT(dark, HasSubstr("x4 32 GT/s of x8 32 GT/s"));
  EXPECT_THAT(lineWith(text, "enp1s0f1np1"), HasSubstr(" down "));
  EXPECT_THAT(lineWith(text, "enp1s0f1np1"), Not(HasSubstr("cage")));
  const std::string held = lineWith(text, "team/trainer-0");
  EXPECT_THAT(held, HasSubstr("net1 10.100.0.1/24, net2 10.100.1.1/24 fd00:100:1::1/64"));
  EXPECT_THAT(held, HasSubstr("healthy"));
  EXPECT_THAT(lineWith(text, "unhealthy:"),
              HasSubstr("enP2p1s0f0np0 (0002:01:00.0) has no carrier"));
  EXPECT_THAT(text, Not(HasSubstr("\033")));
}

TEST(StatusView, ShowsWhatTheAgentMayDo) {
  const auto screen = [](const std::string& privileges) {
    return screenOf({{"a", R"({"schema":"railhead.agent-status/1")" + privileges + "}", ""}}, {});
  };
  EXPECT_THAT(screen(""), Not(HasSubstr("CAPABILITY")));
  const std::string some = screen(
      R"(,"privileges":{"restricted":true,"kept":[{"capability":"CAP_NET_ADMIN","why":"move VFs"}],)"
      R"("missing":[{"capability":"CAP_SYS_ADMIN","why":"enter"}]})");
  EXPECT_THAT(lineWith(some, "CAP_NET_ADMIN"), HasSubstr("move VFs"));
  EXPECT_THAT(lineWith(some, "CAP_SYS_ADMIN"), HasSubstr("missing, to enter"));
  EXPECT_THAT(screen(R"(,"privileges":{"restricted":true,"kept":[],"missing":[]})"),
              HasSubstr("none"));
  EXPECT_THAT(screen(R"(,"privileges":{"restricted":false})"), HasSubstr("nothing was given up"));
}

TEST(StatusView, ShowsTheProfileThatContainersGet) {
  const auto screen = [](const std::string& profile) {
    return screenOf({{"a", R"({"schema":"railhead.agent-status/1")" + profile + "}", ""}}, {});
  };
  EXPECT_THAT(screen(""), Not(HasSubstr("PROFILE")));
  const std::string line =
      lineWith(screen(R"(,"profile":{"state":"other-fabric","hash":"0123456789abcdef0123",)"
                      R"("since":"2026-11-24T17:42:51.000000Z","detail":"mtu is '1500' here"})"),
               "0123456789ab");
  EXPECT_THAT(line, HasSubstr("2026-11-24T17:42:51  other-fabric"));
  EXPECT_THAT(line, HasSubstr("mtu is '1500' here"));
  EXPECT_THAT(line, Not(HasSubstr("0123456789abc")));
  EXPECT_THAT(lineWith(screen(R"(,"profile":{"state":"waiting"})"), "waiting"), HasSubstr("none"));
}

TEST(StatusView, KeepsToTheTerminalsWidthAndColours) {
  report::TerminalStyle style{true, true, true, 60};
  const std::string text = screenOf({{"spark-a", recorded(), ""}}, style);
  EXPECT_THAT(text, HasSubstr("\033["));
  style.colour = false;
  std::istringstream lines(screenOf({{"spark-a", recorded(), ""}}, style));
  for (std::string line; std::getline(lines, line);) {
    EXPECT_LE(report::displayWidth(line), 60U) << line;
  }
}

TEST(StatusView, WhatIsNoStatusIsAProblemAndCannotPaint) {
  for (const std::string status :
       {"", "[]", "null", "{\"schema\": 7}", "\033[2Jboo", "{\"schema\": \"other/1\"}"}) {
    const auto answers = checkedAnswers({{"n", status, ""}});
    EXPECT_THAT(answers[0].problem, HasSubstr("no status of an agent")) << status;
    EXPECT_THAT(screenOf(answers, {}), Not(HasSubstr("\033")));
  }
  // Right by its schema, with everything else of the wrong kind.
  const std::string odd =
      R"({"schema":"railhead.agent-status/1","node":[],"resources":[1,{"devices":{}},{"name":"a\u001b[2Jb",)"
      R"("devices":[null,{"index":"x","healthy":1}]}],"attachments":[{"rails":[7]}],"withheld":"no"})";
  const std::string text = screenOf({{"n", odd, ""}}, {});
  EXPECT_THAT(text, HasSubstr("0 of 2 healthy"));
  EXPECT_THAT(text, Not(HasSubstr("\033")));
}

TEST(StatusView, JsonHoldsEveryAnswer) {
  const auto json = nlohmann::json::parse(
      statusToJson(checkedAnswers({{"", recorded(), ""}, {"spark-b", "", "away"}})));
  EXPECT_EQ(json["schema"], "railhead.status/1");
  EXPECT_EQ(json["nodes"][0]["node"], "spark-a") << "as it calls itself";
  EXPECT_EQ(json["nodes"][0]["status"]["attachments"][0]["pod"], "trainer-0");
  EXPECT_EQ(json["nodes"][1]["problem"], "away");
}

// Answers like a kubectl of a cluster with two agents, one of which cannot be entered.
class FakeKubectl final : public os::ProcessRunner {
 public:
  Result<os::ProcessResult> run(const os::ProcessSpec& spec) override {
    const std::lock_guard lock(mutex_);
    asked.push_back(spec.argv);
    if (spec.argv.at(1) == "get") return os::ProcessResult{0, pods, ""};
    if (spec.argv.at(4) == "agent-2") return os::ProcessResult{1, "", "error: no such pod\nmore"};
    return os::ProcessResult{0, recorded(), ""};
  }
  std::string pods =
      R"({"items":[{"metadata":{"name":"agent-2"},"spec":{"nodeName":"spark-b"}},)"
      R"({"metadata":{"name":"agent-1"},"spec":{"nodeName":"spark-a"}},{"metadata":{}}]})";
  std::vector<std::vector<std::string>> asked;

 private:
  std::mutex mutex_;
};

TEST(StatusSource, AsksEachAgentThroughKubectl) {
  FakeKubectl kubectl;
  const auto answers = askCluster(kubectl, {.podNamespace = "rh"}, kCommand);
  ASSERT_TRUE(answers.has_value()) << answers.error().message;
  ASSERT_THAT(*answers, SizeIs(2));
  EXPECT_EQ((*answers)[0].node, "spark-a");
  EXPECT_EQ((*answers)[0].json, recorded());
  EXPECT_EQ((*answers)[1].problem, "error: no such pod");
  EXPECT_THAT(kubectl.asked[0],
              testing::ElementsAre("kubectl", "get", "pods", "--namespace", "rh", "--selector",
                                   "app.kubernetes.io/name=railhead-agent", "--output", "json"));
}

TEST(StatusSource, NamedNodesAreAskedAloneAndNeverForgotten) {
  FakeKubectl kubectl;
  const auto answers = askCluster(kubectl, {.nodes = {"spark-a", "spark-z"}}, kCommand);
  ASSERT_TRUE(answers.has_value());
  ASSERT_THAT(*answers, SizeIs(2));
  EXPECT_EQ((*answers)[1].node, "spark-z");
  EXPECT_EQ((*answers)[1].problem, "no agent's pod runs there");
  EXPECT_THAT(kubectl.asked, SizeIs(2));
}

TEST(StatusSource, AClusterWithoutAgentsLacksThem) {
  FakeKubectl kubectl;
  kubectl.pods = R"({"items":[]})";
  const auto none = askCluster(kubectl, {}, kCommand);
  ASSERT_FALSE(none.has_value());
  EXPECT_EQ(exitCodeFor(none.error().code), ExitCode::kEnvironment);
  kubectl.pods = "garbage";
  EXPECT_FALSE(askCluster(kubectl, {}, kCommand).has_value());
}

TEST(StatusCommand, WithoutAnAgentItIsExitFour) {
  std::ostringstream out;
  std::ostringstream err;
  Context context{out, err, false, "/nowhere/railhead"};
  EXPECT_EQ(
      runCommandLine({"railhead", "status", "--state", testing::TempDir() + "no-agent"}, context),
      ExitCode::kEnvironment);
  EXPECT_THAT(err.str(), HasSubstr("no agent answers"));
  EXPECT_THAT(err.str(), HasSubstr("remedy: "));
  EXPECT_EQ(
      runCommandLine({"railhead", "status", "--watch", "--state", testing::TempDir() + "no-agent"},
                     context),
      ExitCode::kEnvironment);
  EXPECT_EQ(
      runCommandLine({"railhead", "status", "--cluster", "--kubectl", "/nowhere/kubectl"}, context),
      ExitCode::kEnvironment);
}

}  // namespace
}  // namespace railhead::app
