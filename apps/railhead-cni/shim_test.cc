#include "apps/railhead-cni/shim.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::shim {
namespace {

using cni::Call;
using cni::Reply;
using testing::HasSubstr;

// An agent that records what it is asked.
struct Agent {
  bool away = false;
  int asked = 0;
  std::string socket;
  Call last;

  AskAgent asker() {
    return [this](const std::string& path, const Call& call) -> Result<Reply> {
      ++asked;
      socket = path;
      last = call;
      if (away) return Error(ErrorCode::kNotFound, "connect to " + path + ": not there");
      return Reply{0, "from the agent"};
    };
  }
};

std::string config(const std::string& more, const std::string& version = "1.0.0") {
  return R"({"cniVersion":")" + version + R"(","name":"x","type":"railhead")" +
         (more.empty() ? "" : "," + more) + "}";
}

std::string annotated(const std::string& value) {
  return R"("runtimeConfig":{"io.kubernetes.cri.pod-annotations":{)"
         R"("k8s.v1.cni.cncf.io/networks":")" +
         value + R"("}},)" + R"("prevResult":{"cniVersion":"1.0.0","ips":[]})";
}

Reply run(Agent& agent, const std::string& command, const std::string& input) {
  return answer({command, {{"CNI_COMMAND", command}}, input}, "/default.sock", agent.asker());
}

TEST(Shim, PodsThatAskForNothingPassWithTheAgentDown) {
  const std::vector<std::string> quiet{
      config(R"("prevResult":{"cniVersion":"1.0.0","ips":[]})"),
      config(annotated("")),
      config(annotated("  ")),
      config(annotated("[]")),
      config(R"("runtimeConfig":{"io.kubernetes.cri.pod-annotations":null},)"
             R"("prevResult":{"cniVersion":"1.0.0","ips":[]})"),
      config(R"("runtimeConfig":{"io.kubernetes.cri.pod-annotations":{"other":"dgx"}},)"
             R"("prevResult":{"cniVersion":"1.0.0","ips":[]})"),
  };
  for (const std::string& input : quiet) {
    Agent agent{.away = true};
    const Reply added = run(agent, "ADD", input);
    EXPECT_EQ(added.exitCode, 0) << input;
    EXPECT_EQ(added.output, R"({"cniVersion":"1.0.0","ips":[]})") << input;
    for (const char* command : {"DEL", "CHECK"}) {
      const Reply done = run(agent, command, input);
      EXPECT_EQ(done.exitCode, 0);
      EXPECT_EQ(done.output, "");
    }
    EXPECT_EQ(agent.asked, 0) << input;
  }
}

TEST(Shim, RequestsGoToTheAgentUnchanged) {
  Agent agent;
  const std::string input = config(annotated("dgx-qsfp"));
  for (const char* command : {"ADD", "DEL", "CHECK", "GC", "STATUS"}) {
    EXPECT_EQ(run(agent, command, input).output, "from the agent");
    EXPECT_EQ(agent.last.input, input);
    EXPECT_EQ(agent.last.command, command);
    EXPECT_EQ(agent.socket, "/default.sock");
  }
  EXPECT_EQ(agent.asked, 5);
  run(agent, "ADD", config(R"("deviceID":"0000:01:10.0","socket":"/other.sock")"));
  EXPECT_EQ(agent.socket, "/other.sock");
}

TEST(Shim, NeverAPodWithoutItsNetwork) {
  Agent agent{.away = true};
  for (const char* command : {"ADD", "DEL", "CHECK", "GC"}) {
    const Reply reply = run(agent, command, config(annotated("dgx-qsfp"), "0.4.0"));
    EXPECT_EQ(reply.exitCode, 1);
    EXPECT_THAT(reply.output, HasSubstr(R"("cniVersion":"0.4.0","code":11,"msg":"the railhead )"
                                        "agent does not answer"));
    EXPECT_THAT(reply.output, HasSubstr(R"("details":"see whether)"));
  }
}

// An ADD that failed here leaves no prevResult; its DEL has to reach the plugins before us.
TEST(Shim, DelOfAnAddThatFailedNeedsNoAgent) {
  const std::string asking = R"("runtimeConfig":{"io.kubernetes.cri.pod-annotations":{)"
                             R"("k8s.v1.cni.cncf.io/networks":"dgx-qsfp"}})";
  Agent agent{.away = true};
  EXPECT_EQ(run(agent, "DEL", config(asking)).exitCode, 0);
  EXPECT_EQ(agent.asked, 1) << "an agent that is there is asked";
  EXPECT_EQ(run(agent, "CHECK", config(asking)).exitCode, 1);
  EXPECT_EQ(run(agent, "DEL", config(asking, "0.3.1")).exitCode, 1)
      << "that version has no prevResult";
  EXPECT_EQ(run(agent, "DEL", config(R"("deviceID":"0000:01:10.0")")).exitCode, 1);
}

TEST(Shim, AnAbsentAgentDoesNotMakeTheNodeUnready) {
  Agent agent{.away = true};
  const Reply chained =
      run(agent, "STATUS",
          config(R"("capabilities":{"io.kubernetes.cri.pod-annotations":true})", "1.1.0"));
  EXPECT_EQ(chained.exitCode, 0);
  const Reply delegate = run(agent, "STATUS", config("", "1.1.0"));
  EXPECT_THAT(delegate.output, HasSubstr(R"("code":50)"));
}

TEST(Shim, DelPassesWhatItCannotReadToTheAgent) {
  Agent agent;
  const std::string odd = config(R"("deviceID":7)");
  EXPECT_THAT(run(agent, "ADD", odd).output, HasSubstr(R"("code":7,"msg":"deviceID is '7')"));
  EXPECT_EQ(agent.asked, 0);
  EXPECT_EQ(run(agent, "DEL", odd).exitCode, 0);
  EXPECT_EQ(agent.asked, 1);
}

TEST(Shim, AnswersVersionByItself) {
  Agent agent;
  EXPECT_EQ(run(agent, "VERSION", R"({"cniVersion":"0.4.0"})").output,
            R"({"cniVersion":"0.4.0","supportedVersions":["0.3.1","0.4.0","1.0.0","1.1.0"]})");
  EXPECT_THAT(run(agent, "VERSION", "").output, HasSubstr(R"({"cniVersion":"1.1.0","supp)"));
  EXPECT_EQ(agent.asked, 0);
}

TEST(Shim, RefusesWhatIsNotCni) {
  Agent agent;
  EXPECT_THAT(run(agent, "ADD", "").output, HasSubstr(R"("code":6,"msg":"stdin is not valid)"));
  EXPECT_THAT(run(agent, "ADD", R"({"cniVersion":"0.2.0"})").output,
              HasSubstr(R"("cniVersion":"1.1.0","code":1,"msg":"cniVersion is '0.2.0')"));
  EXPECT_THAT(run(agent, "ADD", config("")).output, HasSubstr("neither prevResult nor deviceID"));
  EXPECT_EQ(agent.asked, 0);
}

}  // namespace
}  // namespace railhead::shim
