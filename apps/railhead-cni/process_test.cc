// The shim as the runtime sees it: a process, against a real socket.
#include "src/os/process.h"

#include "src/cni/protocol.h"
#include "src/os/unix_listener.h"
#include "src/os/unix_socket.h"

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

namespace railhead {
namespace {

using testing::HasSubstr;

os::UniqueFd acceptOne(const os::UnixListener& listener) {
  pollfd ready{listener.fd(), POLLIN, 0};
  ::poll(&ready, 1, 20'000);
  auto accepted = listener.accept();
  return accepted.has_value() && *accepted ? std::move(**accepted) : os::UniqueFd();
}

// The one that was built beside this test, unless another architecture's is to be looked at.
std::string shimPath() {
  const char* other = std::getenv("RAILHEAD_CNI_UNDER_TEST");
  return other != nullptr ? other : RAILHEAD_CNI;
}

class ShimProcess : public testing::Test {
 protected:
  void SetUp() override {
    char directory[] = "/tmp/railhead-shim-XXXXXX";
    ASSERT_NE(::mkdtemp(directory), nullptr);
    directory_ = directory;
    socket_ = directory_ + "/cni.sock";
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  os::ProcessResult run(const std::string& command, const std::string& input) {
    os::SystemProcessRunner runner;
    auto result = runner.run({.argv = {shimPath()},
                              .environment = {{{"CNI_COMMAND", command},
                                               {"CNI_CONTAINERID", "abc"},
                                               {"CNI_IFNAME", "eth0"},
                                               {"CNI_NETNS", "/var/run/netns/x"},
                                               {"SECRET", "no business of the agent"}}},
                              .input = input});
    EXPECT_TRUE(result.has_value());
    return result.has_value() ? *result : os::ProcessResult{-1, "", ""};
  }

  std::string config(const std::string& more) const {
    return R"({"cniVersion":"1.1.0","name":"x","type":"railhead","socket":")" + socket_ + "\"," +
           more + "}";
  }

  std::string directory_;
  std::string socket_;
};

constexpr const char* kAsking =
    R"("runtimeConfig":{"io.kubernetes.cri.pod-annotations":)"
    R"({"k8s.v1.cni.cncf.io/networks":"dgx-qsfp"}},"prevResult":{"cniVersion":"1.1.0"})";

TEST_F(ShimProcess, PassesAPodThroughWithoutAnAgent) {
  const auto result = run(
      "ADD", config(R"("prevResult":{"cniVersion":"1.1.0","ips":[{"address":"10.1.0.2/16"}]})"));
  EXPECT_EQ(result.exitCode, 0);
  EXPECT_EQ(result.output, "{\"cniVersion\":\"1.1.0\",\"ips\":[{\"address\":\"10.1.0.2/16\"}]}\n");
  EXPECT_EQ(result.errorOutput, "");
  const auto deleted = run("DEL", config(R"("x":1)"));
  EXPECT_EQ(deleted.exitCode, 0);
  EXPECT_EQ(deleted.output, "");
}

TEST_F(ShimProcess, AsksTheRuntimeToTryAgainWithoutAnAgent) {
  const auto result = run("ADD", config(kAsking));
  EXPECT_EQ(result.exitCode, 1);
  EXPECT_THAT(result.output, HasSubstr(R"("code":11)"));
  EXPECT_THAT(result.output, HasSubstr(socket_));
}

TEST_F(ShimProcess, ADelWithoutAnAgentLeavesAMark) {
  EXPECT_EQ(run("DEL", config(kAsking)).exitCode, 0);
  EXPECT_FALSE(std::filesystem::exists(directory_ + "/deleted")) << "no record: nothing to undo";
  std::filesystem::create_directory(directory_ + "/attachments");
  std::ofstream(directory_ + "/attachments/abc@eth0.json") << "{}";
  const auto result = run("DEL", config(kAsking));
  EXPECT_EQ(result.exitCode, 0);
  EXPECT_EQ(result.output, "");
  EXPECT_TRUE(std::filesystem::is_directory(directory_ + "/deleted/abc@eth0"));
}

TEST_F(ShimProcess, SendsOneFrameAndPrintsTheAnswer) {
  auto listener = os::UnixListener::open(socket_);
  ASSERT_TRUE(listener.has_value());
  cni::Call seen;
  std::thread agent([&] {
    const os::UniqueFd fd = acceptOne(*listener);
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    const auto frame = os::receiveFrame(fd.get(), deadline, cni::kMaxFrame);
    ASSERT_TRUE(frame.has_value());
    seen = *cni::decodeCall(*frame);
    ASSERT_TRUE(
        os::sendFrame(fd.get(), cni::encodeReply({1, R"({"code":7})"}), deadline).has_value());
  });
  const auto result = run("ADD", config(kAsking));
  agent.join();
  EXPECT_EQ(result.exitCode, 1);
  EXPECT_EQ(result.output, "{\"code\":7}\n");
  EXPECT_EQ(seen.command, "ADD");
  EXPECT_EQ(seen.input, config(kAsking));
  EXPECT_EQ(seen.environment.at("CNI_CONTAINERID"), "abc");
  ASSERT_TRUE(seen.patience.has_value());
  EXPECT_GT(*seen.patience, std::chrono::seconds(30));
  EXPECT_LE(*seen.patience, cni::kAnswerWait);
  EXPECT_FALSE(seen.environment.contains("SECRET"));
}

TEST_F(ShimProcess, AnAgentThatHangsUpIsTryAgain) {
  auto listener = os::UnixListener::open(socket_);
  ASSERT_TRUE(listener.has_value());
  std::thread agent([&] { const os::UniqueFd fd = acceptOne(*listener); });
  const auto result = run("ADD", config(kAsking));
  agent.join();
  EXPECT_THAT(result.output, HasSubstr(R"("code":11)"));
}

TEST_F(ShimProcess, BoundsItsInput) {
  const auto result = run("ADD", std::string((1 << 20) + 1, ' '));
  EXPECT_EQ(result.exitCode, 1);
  EXPECT_THAT(result.output, HasSubstr(R"("code":6,"msg":"stdin cannot be read, or is longer)"));
}

TEST_F(ShimProcess, ExplainsItselfToAPerson) {
  const auto result = run("", "");
  EXPECT_EQ(result.exitCode, 2);
  EXPECT_EQ(result.output, "");
  EXPECT_THAT(result.errorOutput, HasSubstr("CNI_COMMAND=VERSION"));
}

}  // namespace
}  // namespace railhead
