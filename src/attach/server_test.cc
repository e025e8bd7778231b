#include "src/attach/server.h"

#include "src/os/unix_socket.h"
#include "tests/support/attach_fixture.h"

#include <condition_variable>
#include <cstdlib>
#include <future>
#include <mutex>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

namespace railhead::attach {
namespace {

using testing::HasSubstr;

os::Deadline soon() { return std::chrono::steady_clock::now() + std::chrono::seconds(20); }

class ServerTest : public AttachFixture {
 protected:
  void SetUp() override {
    AttachFixture::SetUp();
    char directory[] = "/tmp/railhead-server-XXXXXX";
    ASSERT_NE(::mkdtemp(directory), nullptr);
    directory_ = directory;
    server_.socketPath = directory_ + "/cni.sock";
  }
  void TearDown() override {
    ::unlink(server_.socketPath.c_str());
    ::rmdir(directory_.c_str());
  }

  std::unique_ptr<CniServer> serve(CniHandler handler) {
    auto started = CniServer::start(server_, std::move(handler));
    EXPECT_TRUE(started.has_value());
    return started.has_value() ? std::move(*started) : nullptr;
  }

  cni::Reply ask(const std::string& frame) {
    auto fd = os::connectUnix(server_.socketPath, soon());
    EXPECT_TRUE(fd.has_value());
    // A server that refuses answers and closes without reading: sending may fail, the answer is
    // there.
    static_cast<void>(os::sendFrame(fd->get(), frame, soon()));
    const auto answer = os::receiveFrame(fd->get(), soon(), cni::kMaxFrame);
    EXPECT_TRUE(answer.has_value());
    return answer.has_value() ? *cni::decodeReply(*answer) : cni::Reply{-1, ""};
  }

  cni::Reply call(const std::string& command, const std::string& version = "1.1.0") {
    return ask(
        cni::encodeCall({command,
                         {{"CNI_CONTAINERID", "abc"},
                          {"CNI_IFNAME", "eth0"},
                          {"CNI_NETNS", kernel_.netnsPath("trainer-0")},
                          {"CNI_ARGS", "K8S_POD_NAMESPACE=default;K8S_POD_NAME=trainer-0"}},
                         R"({"cniVersion":")" + version + R"(","name":"cluster","runtimeConfig":)" +
                             R"({"io.kubernetes.cri.pod-annotations":)" +
                             R"({"k8s.v1.cni.cncf.io/networks":"dgx-qsfp"}},)" +
                             R"("cni.dev/valid-attachments":[]})"}));
  }

  std::string directory_;
  CniServerConfig server_;
};

TEST_F(ServerTest, CarriesTheWholeLifeOfAPod) {
  start();
  std::vector<std::string> lines;
  std::mutex mutex;
  const auto server = serve(makeCniHandler(*attacher_, [&](bool, const std::string& line) {
    const std::lock_guard lock(mutex);
    lines.push_back(line);
  }));
  const std::string before = kernel_.snapshot();
  const cni::Reply added = call("ADD", "0.4.0");
  EXPECT_EQ(added.exitCode, 0) << added.output;
  EXPECT_THAT(added.output, HasSubstr(R"("version":"4","interface":0,"address":"10.100.0.5/24")"));
  EXPECT_EQ(call("CHECK").output, "");
  EXPECT_EQ(call("STATUS").exitCode, 0);
  EXPECT_EQ(call("DEL").exitCode, 0);
  EXPECT_EQ(call("DEL").exitCode, 0);
  EXPECT_EQ(kernel_.snapshot(), before);
  EXPECT_EQ(call("ADD").exitCode, 0);
  EXPECT_EQ(call("GC").exitCode, 0);  // no attachment is valid
  EXPECT_EQ(kernel_.snapshot(), before);
  EXPECT_EQ(lines.at(0), "ADD pod default/trainer-0 sandbox abc/eth0: done");
}

TEST_F(ServerTest, ErrorsCarryCodeAndVersion) {
  start();
  const auto server = serve(makeCniHandler(*attacher_));
  EXPECT_THAT(call("CHECK", "1.0.0").output, HasSubstr(R"("cniVersion":"1.0.0","code":104)"));
  EXPECT_THAT(call("ADD", "0.2.0").output, HasSubstr(R"("cniVersion":"1.1.0","code":1,)"));
  EXPECT_THAT(call("JUMP").output, HasSubstr(R"("code":4,"msg":"CNI_COMMAND is 'JUMP')"));
  EXPECT_THAT(ask("{").output, HasSubstr("request frame is not valid JSON"));
  devices_.ids.clear();
  EXPECT_THAT(call("ADD").output, HasSubstr(R"("details":"request nvidia.com/cx7_qsfp in)"));
}

TEST_F(ServerTest, TheSocketIsForRootAlone) {
  const auto server = serve([](const cni::Call&) { return cni::Reply{}; });
  struct stat info {};
  ASSERT_EQ(::stat(server_.socketPath.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
}

TEST_F(ServerTest, ASecondServerIsRefusedWhileTheFirstLives) {
  const auto first = serve([](const cni::Call&) { return cni::Reply{0, "first"}; });
  const auto second = CniServer::start(server_, [](const cni::Call&) {
    return cni::Reply{0, "second"};
  });
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code, ErrorCode::kBusy);
  EXPECT_EQ(call("ADD").output, "first");
}

TEST_F(ServerTest, StopLeavesASocketThatIsNotItsOwn) {
  const auto server = serve([](const cni::Call&) { return cni::Reply{}; });
  const auto other = os::UnixListener::open(server_.socketPath, {.displace = true});
  ASSERT_TRUE(other.has_value());
  server->stop();
  EXPECT_TRUE(other->isInPlace());
}

TEST_F(ServerTest, StopFinishesWhatIsUnderWayAndWaiting) {
  server_.workers = 1;
  std::promise<void> entered;
  std::promise<void> release;
  auto gate = release.get_future().share();
  std::atomic<int> served{0};
  const auto server = serve([&](const cni::Call&) {
    if (served++ == 0) entered.set_value();
    gate.wait();
    return cni::Reply{0, "done"};
  });
  auto first = std::async(std::launch::async, [&] { return call("ADD"); });
  entered.get_future().wait();
  auto stopping = std::async(std::launch::async, [&] { server->stop(); });
  release.set_value();
  EXPECT_EQ(first.get().output, "done");
  stopping.get();
  EXPECT_NE(::access(server_.socketPath.c_str(), F_OK), 0);
  EXPECT_FALSE(os::connectUnix(server_.socketPath, soon()).has_value());
}

TEST_F(ServerTest, APeerThatSaysNothingDoesNotBlockOthers) {
  server_.workers = 2;
  server_.receiveDeadline = std::chrono::milliseconds(200);
  const auto server = serve([](const cni::Call&) { return cni::Reply{0, "ok"}; });
  const auto silent = os::connectUnix(server_.socketPath, soon());
  ASSERT_TRUE(silent.has_value());
  EXPECT_EQ(call("ADD").output, "ok");
  EXPECT_FALSE(os::receiveFrame(silent->get(), soon()).has_value());  // hung up on
}

// Its runtime has asked for the DEL, or does so now.
TEST_F(ServerTest, AnAddWhoseShimIsGoneIsNotBegun) {
  server_.workers = 1;
  std::promise<void> entered;
  std::promise<void> release;
  auto gate = release.get_future().share();
  std::mutex mutex;
  std::vector<std::string> served;
  const auto server = serve([&](const cni::Call& call) {
    {
      const std::lock_guard lock(mutex);
      served.push_back(call.command);
      if (served.size() == 1) entered.set_value();
    }
    gate.wait();
    return cni::Reply{0, "done"};
  });
  auto first = std::async(std::launch::async, [&] { return call("CHECK"); });
  entered.get_future().wait();
  for (const char* command : {"ADD", "DEL"}) {
    const auto gone = os::connectUnix(server_.socketPath, soon());
    ASSERT_TRUE(gone.has_value());
    ASSERT_TRUE(
        os::sendFrame(gone->get(), cni::encodeCall({command, {}, "{}"}), soon()).has_value());
  }
  release.set_value();
  first.get();
  // What is still in the queue when it stops is not begun.
  const auto isServed = [&] {
    const std::lock_guard lock(mutex);
    return served.size() > 1;
  };
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!isServed() && std::chrono::steady_clock::now() < limit) std::this_thread::yield();
  server->stop();
  EXPECT_THAT(served, testing::ElementsAre("CHECK", "DEL"));
}

TEST_F(ServerTest, WaitingInTheQueueCostsPatience) {
  std::optional<std::chrono::milliseconds> left;
  const auto server = serve([&](const cni::Call& call) {
    left = call.patience;
    return cni::Reply{0, ""};
  });
  ask(cni::encodeCall({"DEL", {}, "{}", std::chrono::milliseconds(60'000)}));
  ASSERT_TRUE(left.has_value());
  EXPECT_LE(*left, std::chrono::milliseconds(60'000));
  EXPECT_GT(*left, std::chrono::milliseconds(30'000));
}

TEST_F(ServerTest, TooManyWaitingAreToldToTryAgain) {
  server_.workers = 1;
  server_.maxWaiting = 0;
  const auto server = serve([](const cni::Call&) { return cni::Reply{0, "ok"}; });
  EXPECT_THAT(call("ADD").output, HasSubstr(R"("code":11,"msg":"the agent has too many)"));
}

}  // namespace
}  // namespace railhead::attach
