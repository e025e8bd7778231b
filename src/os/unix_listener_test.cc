#include "src/os/unix_listener.h"

#include "src/os/unix_socket.h"

#include <atomic>
#include <barrier>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

namespace railhead::os {
namespace {

using testing::HasSubstr;

Deadline in(int milliseconds) {
  return std::chrono::steady_clock::now() + std::chrono::milliseconds(milliseconds);
}

class UnixListenerTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "railhead-listen-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    path_ = directory_ + "/s.sock";
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  UnixListener listen(ListenOptions options = {}) const {
    auto made = UnixListener::open(path_, options);
    EXPECT_TRUE(made.has_value()) << made.error().describe();
    return made.has_value() ? std::move(*made) : UnixListener();
  }
  // What a killed process leaves: the file without the listener.
  void leaveBehind() const {
    {
      const UnixListener dead = listen();
      std::filesystem::rename(path_, directory_ + "/kept");
    }
    std::filesystem::rename(directory_ + "/kept", path_);
  }
  std::set<std::string> files() const {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(directory_))
      names.insert(entry.path().filename());
    return names;
  }
  bool answers() const { return connectUnix(path_, in(1000)).has_value(); }

  std::string directory_;
  std::string path_;
};

TEST_F(UnixListenerTest, ListensForItsOwnerAloneAndLeavesNothingBehind) {
  {
    const UnixListener listener = listen();
    struct stat info {};
    ASSERT_EQ(stat(path_.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600U);
    EXPECT_EQ(files(), std::set<std::string>{"s.sock"});
    EXPECT_TRUE(listener.isInPlace());
    EXPECT_FALSE(listener.accept()->has_value());
    const auto peer = connectUnix(path_, in(1000));
    ASSERT_TRUE(peer.has_value());
    EXPECT_TRUE(listener.accept()->has_value());
  }
  EXPECT_TRUE(files().empty());
}

TEST_F(UnixListenerTest, RefusesWhereALivingServerAnswers) {
  const UnixListener first = listen();
  const auto second = UnixListener::open(path_);
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code, ErrorCode::kBusy);
  EXPECT_THAT(second.error().message, HasSubstr("another process listens on " + path_));
  EXPECT_TRUE(first.isInPlace());
  EXPECT_TRUE(answers());
  EXPECT_EQ(files(), std::set<std::string>{"s.sock"});
}

TEST_F(UnixListenerTest, AFullBacklogIsALivingServer) {
  const UnixListener first = listen({.backlog = 0});
  std::vector<UniqueFd> waiting;
  for (;;) {
    auto next = connectUnix(path_, in(50));
    if (!next.has_value()) break;
    waiting.push_back(std::move(*next));
  }
  EXPECT_EQ(UnixListener::open(path_).error().code, ErrorCode::kBusy);
  EXPECT_TRUE(first.isInPlace());
}

TEST_F(UnixListenerTest, ReplacesWhatADeadProcessLeft) {
  for (const bool displace : {false, true}) {
    leaveBehind();
    EXPECT_EQ(connectUnix(path_, in(1000)).error().errnoValue, ECONNREFUSED);
    const UnixListener listener = listen({.displace = displace});
    EXPECT_TRUE(answers());
    EXPECT_EQ(files(), std::set<std::string>{"s.sock"});
  }
}

TEST_F(UnixListenerTest, TheDisplacedOneDoesNotTakeTheNewSocketAlong) {
  UnixListener older = listen();
  const UnixListener newer = listen({.displace = true});
  EXPECT_FALSE(older.isInPlace());
  EXPECT_TRUE(newer.isInPlace());
  older.close();
  EXPECT_TRUE(newer.isInPlace());
  EXPECT_TRUE(answers());
}

TEST_F(UnixListenerTest, KeepsAFileThatIsNoSocket) {
  std::ofstream(path_) << "precious";
  for (const bool displace : {false, true}) {
    const auto refused = UnixListener::open(path_, {.displace = displace});
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, ErrorCode::kAlreadyExists);
    EXPECT_THAT(refused.error().message, HasSubstr("is no socket"));
  }
  EXPECT_EQ(std::filesystem::file_size(path_), 8U);
}

TEST_F(UnixListenerTest, SaysWhatIsWrongWithAPath) {
  EXPECT_EQ(UnixListener::open("/" + std::string(200, 'x')).error().code,
            ErrorCode::kInvalidArgument);
  const auto nowhere = UnixListener::open(directory_ + "/none/s.sock");
  ASSERT_FALSE(nowhere.has_value());
  EXPECT_EQ(nowhere.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(nowhere.error().message, HasSubstr("/none/s.sock"));
}

TEST_F(UnixListenerTest, AMovedListenerIsTheSameOne) {
  UnixListener first = listen();
  UnixListener second = std::move(first);
  first.close();  // NOLINT(bugprone-use-after-move): it must be harmless
  EXPECT_TRUE(second.isInPlace());
  second = UnixListener();
  EXPECT_TRUE(files().empty());
}

// As an agent opens the sockets of all its resources in kubelet's folder.
TEST_F(UnixListenerTest, ThreadsOpenTheirNamesInOneFolderAtOnce) {
  constexpr int kNames = 16;
  for (int round = 0; round < 20; ++round) {
    std::vector<Result<UnixListener>> opened(kNames);
    std::barrier together(kNames);
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < kNames; ++i) {
      threads.emplace_back([&, i] {
        together.arrive_and_wait();
        opened[i] = UnixListener::open(directory_ + "/" + std::to_string(i) + ".sock",
                                       {.displace = i % 2 == 0});
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (const auto& listener : opened) {
      ASSERT_TRUE(listener.has_value()) << listener.error().describe();
      EXPECT_TRUE(listener->isInPlace()) << listener->path();
      ASSERT_TRUE(connectUnix(listener->path(), in(1000)).has_value()) << listener->path();
      const auto peer = listener->accept();
      EXPECT_TRUE(peer.has_value() && peer->has_value()) << "who listens on " << listener->path();
    }
    EXPECT_EQ(files().size(), kNames);
  }
}

TEST_F(UnixListenerTest, RemovesTheDraftsOfDeadProcesses) {
  const auto age = [&](const std::string& name) {
    std::filesystem::last_write_time(
        directory_ + "/" + name,
        std::filesystem::file_time_type::clock::now() - std::chrono::hours(1));
  };
  for (const char* name : {"/.newdead", "/.newmade", "/.newmuch"}) {
    leaveBehind();
    std::filesystem::rename(path_, directory_ + name);
  }
  age(".newdead");
  age(".newmuch");
  std::ofstream(directory_ + "/.newfile") << "precious";
  age(".newfile");
  const UnixListener living = *UnixListener::open(directory_ + "/.newlive");
  age(".newlive");
  const UnixListener listener = listen();
  EXPECT_EQ(files(), (std::set<std::string>{"s.sock", ".newmade", ".newfile", ".newlive"}));
}

TEST_F(UnixListenerTest, WaitsForAConnectionUntilItIsToldToStop) {
  const UnixListener listener = listen();
  const UniqueFd stop(eventfd(0, EFD_CLOEXEC));
  int served = 0;
  std::thread server([&] {
    while (listener.acceptUntil(stop.get())) ++served;
  });
  for (int i = 0; i < 3; ++i) {
    const auto peer = connectUnix(path_, in(1000));
    ASSERT_TRUE(peer.has_value());
    char none = 0;
    EXPECT_EQ(read(peer->get(), &none, 1), 0);  // it was taken and closed
  }
  eventfd_write(stop.get(), 1);
  server.join();
  EXPECT_EQ(served, 3);
}

// From the first listener on there is no moment at which a connection is refused, however often the
// name changes hands.
TEST_F(UnixListenerTest, TheNameAlwaysLeadsToAListener) {
  constexpr int kBacklog = 4096;
  std::vector<UnixListener> all;
  all.push_back(listen({.backlog = kBacklog}));
  std::atomic<bool> done = false;
  std::atomic<int> refused = 0;
  std::thread prober([&] {
    while (!done) {
      const auto peer = connectUnix(path_, in(20));
      // No time left, or a backlog that is full until then, is no refusal.
      const int why = peer.has_value() ? 0 : peer.error().errnoValue;
      if (why == ECONNREFUSED || why == ENOENT) ++refused;
    }
  });
  for (int i = 0; i < 500; ++i) all.push_back(listen({.displace = true, .backlog = kBacklog}));
  done = true;
  prober.join();
  EXPECT_EQ(refused, 0);
  EXPECT_TRUE(all.back().isInPlace());
}

// Kubelet empties its folder while plugins start.
TEST_F(UnixListenerTest, ComesThroughWhileTheFolderIsEmptied) {
  std::atomic<bool> done = false;
  std::thread sweeper([&] {
    while (!done) {
      std::error_code gone;
      for (const auto& entry : std::filesystem::directory_iterator(directory_, gone))
        std::filesystem::remove(entry.path(), gone);
    }
  });
  int made = 0;
  for (int i = 0; i < 200; ++i) {
    const auto listener = UnixListener::open(path_);
    if (listener.has_value()) {
      ++made;
    } else {
      EXPECT_EQ(listener.error().code, ErrorCode::kNotFound) << listener.error().describe();
    }
  }
  done = true;
  sweeper.join();
  EXPECT_GT(made, 0);
}

}  // namespace
}  // namespace railhead::os
