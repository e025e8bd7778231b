#include "lab/client/lab_client.h"

#include "lab/topology/topology.h"
#include "src/base/text.h"

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

namespace railhead::lab {
namespace {

using testing::HasSubstr;

constexpr int kDeadlineMs = 20000;

// Ends when the process behind it ends.
class ProcessWatch {
 public:
  explicit ProcessWatch(pid_t pid) : fd_(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0U))) {}
  bool awaitEnd() const {
    if (!fd_) return true;  // it was gone already
    pollfd entry{fd_.get(), POLLIN, 0};
    return ::poll(&entry, 1, kDeadlineMs) == 1;
  }

 private:
  os::UniqueFd fd_;
};

// A real keeper process with a stand-in for QEMU (lab/testing).
class LabClientTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "/lab-client-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    for (const auto* name : {"kernel", "initramfs.cpio", "root.erofs"}) {
      std::ofstream(directory_ / name) << "x";
    }
    std::ofstream(directory_ / "image.json") << R"({"kernel": "7.0.0"})";
    static int count = 0;
    options_.name = "test-" + std::to_string(::getpid()) + "-" + std::to_string(count++);
    options_.imageDirectory = directory_.string();
    options_.keeper = {RAILHEAD_TEST_KEEPER};
    options_.qemu = RAILHEAD_FAKE_QEMU;
    options_.readyDeadline = std::chrono::seconds(20);
  }
  void TearDown() override {
    if (auto client = LabClient::connect(options_.name)) (void)client->down();
    std::filesystem::remove_all(directory_);
  }

  static Topology topologyOf(const std::string& first, const std::string& second) {
    auto topology =
        parseTopology("{name: pair, nodes: [{name: " + first +
                          ", memory: 256, pfs: [{name: p0}, {name: p1}]}, {name: " + second +
                          ", memory: 256, pfs: [{name: p0}]}], links: [{name: rail0, "
                          "rate: 40Mbit, ends: [" +
                          first + "/p0, " + second + "/p0]}]}",
                      "test");
    if (!topology) std::abort();
    return *topology;
  }
  LabClient up(const Topology& topology) {
    auto result = LabClient::up(topology, options_);
    EXPECT_TRUE(result) << result.error().describe();
    if (!result) std::abort();
    EXPECT_FALSE(result->reused);
    return result->client;
  }
  LabClient up() { return up(topologyOf("a", "b")); }
  void expectNothingRuns() {
    const auto client = LabClient::connect(options_.name);
    ASSERT_FALSE(client);
    EXPECT_EQ(client.error().code, ErrorCode::kNotFound);
  }
  // Watches on every process of the lab, its keeper included.
  std::vector<ProcessWatch> watchAll(const LabStatus& status) {
    std::vector<ProcessWatch> watches;
    watches.emplace_back(status.keeperPid);
    for (const auto& node : status.nodes) watches.emplace_back(node.pid);
    return watches;
  }
  static bool consoleSays(const LabClient& client, const std::string& node,
                          const std::string& text) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(kDeadlineMs);
    while (std::chrono::steady_clock::now() < deadline) {
      const auto log = client.logs(node);
      if (log && log->find(text) != std::string::npos) return true;
      std::this_thread::yield();
    }
    return false;
  }

  std::filesystem::path directory_;
  LabOptions options_;
};

TEST_F(LabClientTest, UpShowsEveryStepAndDownLeavesNothing) {
  std::vector<std::string> events;
  auto result = LabClient::up(topologyOf("a", "b"), options_, [&](const BootEvent& event) {
    events.push_back(event.kind == BootEvent::Kind::kNodeStarted ? "started " + event.node
                     : event.kind == BootEvent::Kind::kNodeReady ? "ready " + event.node
                                                                 : "up");
  });
  ASSERT_TRUE(result) << result.error().describe();
  EXPECT_THAT(events,
              testing::UnorderedElementsAre("started a", "started b", "ready a", "ready b", "up"));
  EXPECT_EQ(events.back(), "up");
  const auto status = result->client.status();
  ASSERT_TRUE(status) << status.error().describe();
  EXPECT_TRUE(status->up);
  EXPECT_EQ(status->topology, "pair");
  ASSERT_EQ(status->nodes.size(), 2U);
  EXPECT_EQ(status->nodes[0].state, NodeState::kReady);
  EXPECT_EQ(status->nodes[0].kernel, "7.0.0-fake");
  EXPECT_EQ(status->nodes[0].pfs[0].link, "rail0");
  EXPECT_EQ(status->nodes[0].pfs[1].link, "");
  EXPECT_EQ(status->nodes[0].pfs[1].address, "0000:02:00.0");
  ASSERT_EQ(status->links.size(), 1U);
  EXPECT_EQ(status->links[0].ends[1].end, "b/p0");
  EXPECT_TRUE(consoleSays(result->client, "a", "set_link pf1 false"));  // nothing is plugged in

  const auto watches = watchAll(*status);
  const auto down = result->client.down();
  ASSERT_TRUE(down) << down.error().describe();
  expectNothingRuns();
  for (const auto& watch : watches) EXPECT_TRUE(watch.awaitEnd());
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);  // no zombie either
}

TEST_F(LabClientTest, ExecPassesStreamsCodesAndEnvironment) {
  const LabClient client = up();
  const auto echo = client.exec("a", {"echo", "hello"});
  ASSERT_TRUE(echo) << echo.error().describe();
  EXPECT_EQ(echo->output, "hello\n");
  EXPECT_EQ(echo->errorOutput, "");
  EXPECT_EQ(echo->exitCode, 0);
  EXPECT_EQ(client.exec("b", {"warn", "oh"})->errorOutput, "oh\n");
  EXPECT_EQ(client.exec("b", {"exit", "42"})->exitCode, 42);
  ExecOptions options;
  options.env = {{"WHO", "me"}};
  EXPECT_EQ(client.exec("a", {"env", "WHO"}, options)->output, "me");
  ExecOptions input;
  input.input = std::string(700000, 'i');
  EXPECT_EQ(client.exec("a", {"cat"}, input)->output, input.input);
  EXPECT_EQ(client.exec("a", {"spew", "3000000"})->output.size(), 3000000U);
}

TEST_F(LabClientTest, ExecErrorsNameWhatIsWrong) {
  const LabClient client = up();
  const auto unknownNode = client.exec("c", {"echo"});
  ASSERT_FALSE(unknownNode);
  EXPECT_EQ(unknownNode.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(unknownNode.error().message, HasSubstr("'c'; allowed: a, b"));
  EXPECT_THAT(client.exec("a", {"frob"}).error().message, HasSubstr("frob: not found"));
  EXPECT_FALSE(client.exec("a", {}));
  ExecOptions small;
  small.maxOutput = 10;
  EXPECT_EQ(client.exec("a", {"spew", "11"}, small).error().code, ErrorCode::kExhausted);
}

TEST_F(LabClientTest, ExecPastItsDeadlineIsEndedInTheNode) {
  const LabClient client = up();
  ExecOptions options;
  options.deadline = std::chrono::milliseconds(100);
  const auto result = client.exec("a", {"wait"}, options);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kDeadlineExceeded);
  EXPECT_TRUE(consoleSays(client, "a", "signal 15"));
  EXPECT_TRUE(consoleSays(client, "a", "signal 9"));  // it did not listen to the first
}

TEST_F(LabClientTest, SignalsArePassedOn) {
  const LabClient client = up();
  sigset_t wanted;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &wanted, nullptr);
  const os::UniqueFd signals(::signalfd(-1, &wanted, SFD_CLOEXEC));
  ::raise(SIGUSR1);
  ExecStreams streams;
  streams.signalFd = signals.get();
  const auto code = client.execStreaming("a", {"sleep"}, streams);
  ASSERT_TRUE(code) << code.error().describe();
  EXPECT_EQ(*code, 128 + SIGUSR1);
}

TEST_F(LabClientTest, SeveralClientsAtOnce) {
  const LabClient client = up();
  std::vector<std::thread> threads;
  std::atomic<int> good{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 20; ++i) {
        const std::string word = std::to_string(t) + "-" + std::to_string(i);
        const auto result = client.exec(t % 2 == 0 ? "a" : "b", {"echo", word});
        if (result && result->output == word + "\n") ++good;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(good, 80);
}

TEST_F(LabClientTest, UpTwiceReusesTheSameAndRefusesAnother) {
  up();
  const auto again = LabClient::up(topologyOf("a", "b"), options_);
  ASSERT_TRUE(again) << again.error().describe();
  EXPECT_TRUE(again->reused);
  const auto other = LabClient::up(topologyOf("a", "c"), options_);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, ErrorCode::kBusy);
  EXPECT_THAT(other.error().remedy, HasSubstr("railhead lab down"));
  const auto bound = BoundLab::start(topologyOf("a", "b"), options_);
  ASSERT_FALSE(bound);
  EXPECT_EQ(bound.error().code, ErrorCode::kBusy);
}

TEST_F(LabClientTest, TwoUpsAtTheSameTimeEndWithOneLab) {
  std::vector<std::thread> threads;
  std::atomic<int> fresh{0};
  std::atomic<int> reused{0};
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      const auto result = LabClient::up(topologyOf("a", "b"), options_);
      if (result) ++(result->reused ? reused : fresh);
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(fresh, 1);
  EXPECT_EQ(reused, 2);
}

TEST_F(LabClientTest, NodeThatNeverGetsReadyIsNamedWithItsLastLines) {
  options_.readyDeadline = std::chrono::seconds(5);
  const auto result = LabClient::up(topologyOf("a", "mute"), options_);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kDeadlineExceeded);
  EXPECT_THAT(result.error().message, HasSubstr("node mute was not ready after 5 s"));
  EXPECT_THAT(result.error().message, HasSubstr("waiting for a disk"));
  expectNothingRuns();
}

TEST_F(LabClientTest, NodeThatDiesWhileBootingIsNamedWithItsLastLines) {
  const auto result = LabClient::up(topologyOf("a", "dies"), options_);
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().message, HasSubstr("node dies died: QEMU ended with exit code 1"));
  EXPECT_THAT(result.error().message, HasSubstr("Kernel panic - not syncing"));
  EXPECT_THAT(result.error().message, HasSubstr("qemu: guest panicked"));
  expectNothingRuns();
}

TEST_F(LabClientTest, NonsenseOnTheControlChannelEndsTheNode) {
  const auto result = LabClient::up(topologyOf("a", "garbage"), options_);
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().message, HasSubstr("node garbage died: its control channel"));
  expectNothingRuns();
}

TEST_F(LabClientTest, NodeThatDiesLaterIsReportedAndTheOthersGoOn) {
  const LabClient client = up();
  const auto last = client.exec("a", {"die"});
  ASSERT_FALSE(last);
  EXPECT_THAT(last.error().message, HasSubstr("node a died: QEMU ended with exit code 3"));
  EXPECT_THAT(last.error().message, HasSubstr("Oops: told to die"));
  EXPECT_THAT(last.error().message, HasSubstr("railhead lab logs a --lab " + options_.name));
  const auto status = client.status();
  ASSERT_TRUE(status);
  EXPECT_EQ(status->nodes[0].state, NodeState::kDead);
  EXPECT_EQ(status->nodes[0].pid, 0);
  EXPECT_THAT(status->nodes[0].problem, HasSubstr("Oops"));
  const auto refused = client.exec("a", {"echo"}).error();
  EXPECT_THAT(refused.message, HasSubstr("node a died"));
  EXPECT_LE(std::count(refused.message.begin(), refused.message.end(), '\n'), 4);
  // Every command that a remedy names reaches this very lab.
  EXPECT_THAT(refused.remedy, HasSubstr("railhead lab logs a --lab " + options_.name));
  EXPECT_THAT(refused.remedy, HasSubstr("railhead lab down --lab " + options_.name));
  EXPECT_EQ(client.exec("b", {"echo", "still here"})->output, "still here\n");
  EXPECT_THAT(LabClient::up(topologyOf("a", "b"), options_).error().message,
              HasSubstr("node a died"));
  EXPECT_TRUE(client.setLink("rail0", {true, {}, {}}));  // one of its NICs is no more
}

TEST_F(LabClientTest, LinksChangeAndBothNicsHearOfIt) {
  const LabClient client = up();
  const auto cut = client.setLink("rail0", {true, {}, {}});
  ASSERT_TRUE(cut) << cut.error().describe();
  EXPECT_TRUE(cut->cut);
  EXPECT_TRUE(consoleSays(client, "a", "set_link pf0 false"));
  EXPECT_TRUE(consoleSays(client, "b", "set_link pf0 false"));
  const auto back = client.setLink("rail0", {false, BitRate{5e6}, 2.5});
  ASSERT_TRUE(back);
  EXPECT_TRUE(consoleSays(client, "a", "set_link pf0 true"));
  const auto status = client.status();
  ASSERT_TRUE(status);
  EXPECT_FALSE(status->links[0].cut);
  EXPECT_EQ(status->links[0].rate.bitsPerSecond, 5e6);
  EXPECT_EQ(status->links[0].lossPercent, 2.5);
  EXPECT_THAT(client.setLink("rail9", {}).error().message, HasSubstr("'rail9'; allowed: rail0"));
}

TEST_F(LabClientTest, KilledKeeperLeavesNothingAndUpWorksAgain) {
  const LabClient client = up();
  const auto status = client.status();
  ASSERT_TRUE(status);
  const auto watches = watchAll(*status);
  ASSERT_EQ(::kill(status->keeperPid, SIGKILL), 0);
  for (const auto& watch : watches) EXPECT_TRUE(watch.awaitEnd());
  ::waitpid(status->keeperPid, nullptr, 0);
  expectNothingRuns();
  up();
}

TEST_F(LabClientTest, TerminatedKeeperTakesItsNodesDown) {
  const LabClient client = up();
  const auto status = client.status();
  ASSERT_TRUE(status);
  const auto watches = watchAll(*status);
  ASSERT_EQ(::kill(status->keeperPid, SIGTERM), 0);
  for (const auto& watch : watches) EXPECT_TRUE(watch.awaitEnd());
  ::waitpid(status->keeperPid, nullptr, 0);
  expectNothingRuns();
}

TEST_F(LabClientTest, InterruptedUpLeavesNothing) {
  const os::UniqueFd interrupt(::eventfd(0, EFD_CLOEXEC));
  options_.cancelFd = interrupt.get();
  // Interrupted when every node was launched and one will never be ready.
  const auto result = LabClient::up(topologyOf("a", "mute"), options_, [&](const BootEvent& event) {
    const std::uint64_t one = 1;
    if (event.kind == BootEvent::Kind::kNodeReady) {
      EXPECT_EQ(::write(interrupt.get(), &one, sizeof one), 8);
    }
  });
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().message, HasSubstr("interrupted"));
  expectNothingRuns();
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
}

TEST_F(LabClientTest, DownEndsAnUpThatStillWaits) {
  std::thread starter([&] {
    const auto result = LabClient::up(topologyOf("a", "mute"), options_);
    EXPECT_FALSE(result);
  });
  Result<void> down = Error(ErrorCode::kNotFound, "not yet");
  while (!down && down.error().code == ErrorCode::kNotFound) {
    std::this_thread::yield();
    if (const auto client = LabClient::connect(options_.name)) down = client->down();
  }
  EXPECT_TRUE(down) << down.error().describe();
  starter.join();
  expectNothingRuns();
}

TEST_F(LabClientTest, BoundLabEndsWithItsObject) {
  std::vector<ProcessWatch> watches;
  {
    auto lab = BoundLab::start(topologyOf("a", "b"), options_);
    ASSERT_TRUE(lab) << lab.error().describe();
    EXPECT_EQ(lab->client().exec("a", {"echo", "x"})->output, "x\n");
    watches = watchAll(*lab->client().status());
  }
  expectNothingRuns();
  for (const auto& watch : watches) EXPECT_TRUE(watch.awaitEnd());
}

TEST_F(LabClientTest, BoundLabEndsWithItsProcessHoweverThatEnds) {
  const os::UniqueFd ready(::eventfd(0, EFD_CLOEXEC));
  const pid_t owner = ::fork();
  ASSERT_GE(owner, 0);
  if (owner == 0) {
    const auto lab = BoundLab::start(topologyOf("a", "b"), options_);
    const std::uint64_t told = lab ? 1 : 2;
    [[maybe_unused]] const ssize_t written = ::write(ready.get(), &told, sizeof told);
    ::pause();
    ::_exit(0);
  }
  std::uint64_t told = 0;
  ASSERT_EQ(::read(ready.get(), &told, sizeof told), 8);
  ASSERT_EQ(told, 1U);
  const auto client = LabClient::connect(options_.name);
  ASSERT_TRUE(client);
  const auto watches = watchAll(*client->status());
  ASSERT_EQ(::kill(owner, SIGKILL), 0);
  ASSERT_EQ(::waitpid(owner, nullptr, 0), owner);
  for (const auto& watch : watches) EXPECT_TRUE(watch.awaitEnd());
  expectNothingRuns();
}

TEST_F(LabClientTest, WhatTheMachineLacksIsSaidBeforeAnythingStarts) {
  std::filesystem::remove(directory_ / "root.erofs");
  const auto image = LabClient::up(topologyOf("a", "b"), options_);
  ASSERT_FALSE(image);
  EXPECT_EQ(exitCodeFor(image.error().code), ExitCode::kEnvironment);
  EXPECT_THAT(image.error().remedy, HasSubstr("./dev build"));
  options_.qemu = "railhead-no-such-qemu";
  const auto qemu = LabClient::up(topologyOf("a", "b"), options_);
  ASSERT_FALSE(qemu);
  EXPECT_EQ(exitCodeFor(qemu.error().code), ExitCode::kEnvironment);
  EXPECT_THAT(qemu.error().message, HasSubstr("railhead-no-such-qemu"));
  options_.name = "no/slash";
  EXPECT_EQ(LabClient::up(topologyOf("a", "b"), options_).error().code,
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
}

TEST_F(LabClientTest, NameHeldByAnotherUserIsAnEnvironmentError) {
  if (::getuid() != 0) GTEST_SKIP() << "needs root, to act as another user";
  const os::UniqueFd ready(::eventfd(0, EFD_CLOEXEC));
  const pid_t other = ::fork();
  ASSERT_GE(other, 0);
  if (other == 0) {
    if (::setuid(65534) != 0) ::_exit(1);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string name = "railhead-lab-0-" + options_.name;
    name.copy(address.sun_path + 1, name.size());
    const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
    const bool bound =
        ::bind(fd, reinterpret_cast<sockaddr*>(&address), length) == 0 && ::listen(fd, 1) == 0;
    const std::uint64_t told = bound ? 1 : 2;
    [[maybe_unused]] const ssize_t written = ::write(ready.get(), &told, sizeof told);
    ::pause();
    ::_exit(0);
  }
  std::uint64_t told = 0;
  ASSERT_EQ(::read(ready.get(), &told, sizeof told), 8);
  EXPECT_EQ(told, 1U);
  const auto result = LabClient::up(topologyOf("a", "b"), options_);
  ::kill(other, SIGKILL);
  ::waitpid(other, nullptr, 0);
  ASSERT_FALSE(result);
  EXPECT_EQ(exitCodeFor(result.error().code), ExitCode::kEnvironment);
  EXPECT_THAT(result.error().message, HasSubstr("another user (uid 65534"));
}

}  // namespace
}  // namespace railhead::lab
