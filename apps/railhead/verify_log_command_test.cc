// `railhead verify --log` on logs of our own making.
#include "apps/railhead/command_line.h"
#include "tests/support/documented_fields.h"

#include <filesystem>
#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace railhead::app {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr const char* kSender =
    "a:10:10 [0] NCCL INFO NCCL version 2.28.9+cuda13.0\n"
    "a:10:11 [0] NCCL INFO NET/IB : Using [0]mlx5_0:1/RoCE\n"
    "a:10:11 [0] NCCL INFO NCCL_NET_GDR_LEVEL set by environment to LOC\n"
    "a:10:12 [0] NCCL INFO Channel 00/0 : 0[0] -> 1[0] [send] via NET/IB/0\n"
    "a:10:12 [0] NCCL INFO Channel 01/0 : 0[0] -> 1[0] [se\n"
    "a:10:12 [0] graph/paths.cc:1 NCCL WARN something is amiss\n";
constexpr const char* kReceiver =
    "b:20:21 [0] NCCL INFO NET/IB : Using [0]mlx5_0:1/RoCE\n"
    "b:20:22 [0] NCCL INFO Channel 00/0 : 0[0] -> 1[0] [receive] via NET/IB/0\n";

struct Ran {
  ExitCode exitCode;
  std::string out, err;
};

class VerifyLog : public testing::Test {
 protected:
  VerifyLog()
      : folder_(std::filesystem::temp_directory_path() /
                ("railhead-verify-log-" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(folder_);
  }
  ~VerifyLog() override { std::filesystem::remove_all(folder_); }

  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name) << text;
    return (folder_ / name).string();
  }
  static Ran run(std::vector<std::string> words) {
    words.insert(words.begin(), {"railhead", "verify"});
    std::ostringstream out, err;
    Context context{out, err, false, "railhead"};
    const ExitCode code = runCommandLine(words, context);
    return {code, out.str(), err.str()};
  }

  std::filesystem::path folder_;
};

TEST_F(VerifyLog, BothEndsTellOneWay) {
  const Ran ran = run({"--log", write("a", kSender), "--log", write("b", kReceiver)});
  EXPECT_EQ(ran.exitCode, ExitCode::kOk) << ran.err;
  EXPECT_THAT(ran.out, AllOf(HasSubstr("NCCL 2.28.9+cuda13.0: 2 channel lines of 2 processes; 1 "),
                             HasSubstr("host  "), HasSubstr("unproven"), HasSubstr("mlx5_0"),
                             HasSubstr("rank 0 (a:10) -> rank 1 (b:20)"),
                             HasSubstr("cause: a: NCCL_NET_GDR_LEVEL=LOC"),
                             HasSubstr("NCCL warns: "), HasSubstr("they prove nothing")));
}

TEST_F(VerifyLog, ItsJsonMakesAPage) {
  const std::string json = write("result", ""), page = write("page", "");
  ASSERT_EQ(
      run({"--log", write("a", kSender), "--log", write("b", kReceiver), "--out", json}).exitCode,
      ExitCode::kOk);
  std::ostringstream out, err;
  Context context{out, err, false, "railhead"};
  EXPECT_EQ(runCommandLine({"railhead", "report", json, "--out", page}, context), ExitCode::kOk)
      << err.str();
  EXPECT_THAT(out.str(), HasSubstr("NCCL's log says RDMA through host memory: 1 direction host"));
}

TEST_F(VerifyLog, AFileWithoutALineOfNcclsIsNamed) {
  const std::string file = write("other", "hello\n");
  const Ran ran = run({"--log", file});
  EXPECT_EQ(ran.exitCode, ExitCode::kCheckFailed);
  EXPECT_EQ(ran.out, "");
  EXPECT_THAT(ran.err, HasSubstr("--log " + file + ": no line of NCCL's is in it\n  remedy: "));
}

TEST_F(VerifyLog, AFileThatAddsNothingIsNamed) {
  const std::string empty = write("empty", ""), sender = write("a", kSender);
  const Ran ran = run({"--log", sender, "--log", empty});
  EXPECT_EQ(ran.exitCode, ExitCode::kOk) << ran.err;
  EXPECT_EQ(ran.err, "note: " + empty + ": no line of NCCL's is in it\n");
  const Ran twice = run({"--log", sender, "--log", sender});
  EXPECT_EQ(twice.exitCode, ExitCode::kUsage);
  EXPECT_THAT(twice.err, HasSubstr("is named twice"));
}

// Of a run that ended early they are the cause.
TEST_F(VerifyLog, WarningsAreShownWhereNoChannelIs) {
  const std::string file =
      write("early", "a:1:1 [0] misc/ibvwrap.cc:94 NCCL WARN Call to ibv_create_qp failed\n");
  const Ran ran = run({"--log", file});
  EXPECT_EQ(ran.exitCode, ExitCode::kCheckFailed);
  EXPECT_THAT(ran.out, HasSubstr("ibv_create_qp failed"));
}

TEST_F(VerifyLog, OneEndAloneIsShownAsThat) {
  const Ran ran = run({"--log", write("b", kReceiver)});
  EXPECT_EQ(ran.exitCode, ExitCode::kOk) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("partial: host at the receiver; the sending end says nothing"));
}

TEST_F(VerifyLog, TheDocumentNamesEveryFieldAndNoOther) {
  const Ran ran = run({"--json", "--log", write("a", kSender), "--log", write("b", kReceiver)});
  const auto json = nlohmann::json::parse(ran.out);
  EXPECT_EQ(json.at("directions").at(0).at("lines"), "host");
  EXPECT_EQ(json.at("directions").at(0).at("verdict"), "unproven");
  EXPECT_EQ(json.at("summary").at(0).at("directions"), 1);
  const auto text = testing_support::readText("docs/reference/verify.md");
  EXPECT_EQ(testing_support::documentedFields(text, "JSON of verify --log"),
            testing_support::fieldsOf(json));
}

TEST_F(VerifyLog, ALogThatTellsNothingIsExitThreeWithWhatToDo) {
  const Ran none = run({"--log", write("x", "hello\n")});
  EXPECT_EQ(none.exitCode, ExitCode::kCheckFailed);
  EXPECT_THAT(none.err, HasSubstr("NCCL_DEBUG=INFO"));
  const Ran silent = run({"--log", write("y", "a:1:1 [0] NCCL INFO Bootstrap : Using eth0\n")});
  EXPECT_EQ(silent.exitCode, ExitCode::kCheckFailed);
  EXPECT_THAT(silent.err, HasSubstr("NCCL_DEBUG_SUBSYS"));
  EXPECT_EQ(run({"--log", (folder_ / "nowhere").string()}).exitCode, ExitCode::kFailed);
  EXPECT_EQ(run({"--log", "x", "--on", "local:2"}).exitCode, ExitCode::kUsage);
}

}  // namespace
}  // namespace railhead::app
