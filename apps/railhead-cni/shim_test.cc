#include "apps/railhead-cni/shim.h"

#include "tests/support/memory_filesystem.h"

#include <cerrno>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::shim {
namespace {

using cni::Call;
using cni::Reply;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// An agent that records what it is asked, and a state folder that records what it is left.
struct Agent {
  bool away = false;
  bool hangs = false;
  bool full = false;  // the folder
  Reply says{0, "from the agent"};
  int asked = 0;
  std::string socket;
  Call last;
  std::vector<std::string> marks;  // "folder container@interface", "!" behind when nobody listens

  AskAgent asker() {
    return [this](const std::string& path, const Call& call) -> Result<Reply> {
      ++asked;
      socket = path;
      last = call;
      if (away) return Error::fromErrno(ECONNREFUSED, "connect to " + path);
      if (hangs) return Error(ErrorCode::kDeadlineExceeded, "receive: no answer");
      return says;
    };
  }
  LeaveMark marker() {
    return [this](const std::string& folder, const Call& call, bool nobody) -> Result<void> {
      if (full) return Error(ErrorCode::kExhausted, "no space left");
      marks.push_back(folder + " " + call.environment.at("CNI_CONTAINERID") + "@" +
                      call.environment.at("CNI_IFNAME") + (nobody ? "!" : ""));
      return {};
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
  return answer({command,
                 {{"CNI_COMMAND", command}, {"CNI_CONTAINERID", "abc"}, {"CNI_IFNAME", "eth0"}},
                 input,
                 {}},
                "/run/railhead/cni.sock", agent.asker(), agent.marker());
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
    EXPECT_EQ(agent.socket, "/run/railhead/cni.sock");
  }
  EXPECT_EQ(agent.asked, 5);
  run(agent, "ADD", config(R"("deviceID":"0000:01:10.0","socket":"/other.sock")"));
  EXPECT_EQ(agent.socket, "/other.sock");
}

TEST(Shim, NeverAPodWithoutItsNetwork) {
  Agent agent{.away = true};
  for (const char* command : {"ADD", "CHECK", "GC"}) {
    const Reply reply = run(agent, command, config(annotated("dgx-qsfp"), "0.4.0"));
    EXPECT_EQ(reply.exitCode, 1);
    EXPECT_THAT(reply.output, HasSubstr(R"("cniVersion":"0.4.0","code":11,"msg":"the railhead )"
                                        "agent does not answer"));
    EXPECT_THAT(reply.output, HasSubstr(R"("details":"see whether)"));
  }
  EXPECT_THAT(agent.marks, IsEmpty());
}

constexpr const char* kAsking = R"("runtimeConfig":{"io.kubernetes.cri.pod-annotations":{)"
                                R"("k8s.v1.cni.cncf.io/networks":"dgx-qsfp"}})";

// Of every version, Cilium's 0.3.1 too, after an ADD that failed (no prevResult) and after a whole
// one: the plugins before us must be reached.
TEST(Shim, AChainedDelPassesWithAMark) {
  for (const char* version : {"0.3.1", "0.4.0", "1.0.0", "1.1.0"}) {
    for (const std::string& more : {std::string(kAsking), annotated("dgx-qsfp")}) {
      Agent agent{.away = true};
      const Reply away = run(agent, "DEL", config(more, version));
      EXPECT_EQ(away.exitCode, 0) << version;
      EXPECT_EQ(away.output, "");
      EXPECT_EQ(agent.asked, 1) << "an agent that is there is asked";
      EXPECT_THAT(agent.marks, ElementsAre("/run/railhead abc@eth0!"));

      Agent hanging{.hangs = true};
      EXPECT_EQ(run(hanging, "DEL", config(more, version)).exitCode, 0);
      EXPECT_THAT(hanging.marks, ElementsAre("/run/railhead abc@eth0"));

      Agent busy{.says = {1, R"({"code":11})"}};
      EXPECT_EQ(run(busy, "DEL", config(more, version)).exitCode, 0);
      EXPECT_THAT(busy.marks, ElementsAre("/run/railhead abc@eth0"));

      Agent well;
      EXPECT_EQ(run(well, "DEL", config(more, version)).output, "from the agent");
      EXPECT_THAT(well.marks, IsEmpty());
    }
  }
  Agent elsewhere{.away = true};
  run(elsewhere, "DEL", config(std::string(kAsking) + R"(,"socket":"/other/cni.sock")"));
  EXPECT_THAT(elsewhere.marks, ElementsAre("/other abc@eth0!"));
}

TEST(Shim, WhatCannotBeMarkedIsAskedAgainUnlessNoAddWasWhole) {
  Agent agent{.away = true, .full = true};
  EXPECT_THAT(run(agent, "DEL", config(annotated("dgx-qsfp"))).output, HasSubstr(R"("code":11)"));
  EXPECT_EQ(run(agent, "DEL", config(kAsking)).exitCode, 0);
  Agent failing{.full = true, .says = {1, R"({"code":5})"}};
  EXPECT_EQ(run(failing, "DEL", config(annotated("dgx-qsfp"))).output, R"({"code":5})");
}

// Multus asks again.
TEST(Shim, ADelegatesDelDoesNotPass) {
  Agent agent{.away = true};
  EXPECT_EQ(run(agent, "DEL", config(R"("deviceID":"0000:01:10.0")")).exitCode, 1);
  Agent busy{.says = {1, R"({"code":11})"}};
  EXPECT_EQ(run(busy, "DEL", config(R"("deviceID":"0000:01:10.0")")).output, R"({"code":11})");
  EXPECT_THAT(agent.marks, IsEmpty());
  EXPECT_THAT(busy.marks, IsEmpty());
}

TEST(Mark, IsAFolderOfTheAttachmentsName) {
  testing_support::MemoryFilesystem files;
  const Call call{"DEL", {{"CNI_CONTAINERID", "abc"}, {"CNI_IFNAME", "eth0"}}, "", {}};
  const std::string mark = "/state/deleted/abc@eth0";
  // No agent since the boot, so no VFs.
  EXPECT_TRUE(leaveMark(files, "/state", call, false).has_value());
  EXPECT_FALSE(files.exists("/state"));
  files.putDirectory("/state");
  // An agent that is away knows nothing of it.
  EXPECT_TRUE(leaveMark(files, "/state", call, true).has_value());
  EXPECT_FALSE(files.exists(mark));
  files.put("/state/attachments/abc@eth0.json", "{}");
  EXPECT_TRUE(leaveMark(files, "/state", call, true).has_value());
  EXPECT_TRUE(files.exists(mark));
  EXPECT_TRUE(leaveMark(files, "/state", call, true).has_value()) << "again is fine";
  // One that is there may be about to attach it.
  Call other = call;
  other.environment["CNI_CONTAINERID"] = "def";
  EXPECT_TRUE(leaveMark(files, "/state", other, false).has_value());
  EXPECT_TRUE(files.exists("/state/deleted/def@eth0"));
  for (const char* odd : {"", "..", "a/b", "-x"}) {
    other.environment["CNI_CONTAINERID"] = odd;
    EXPECT_FALSE(leaveMark(files, "/state", other, false).has_value()) << odd;
  }
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
