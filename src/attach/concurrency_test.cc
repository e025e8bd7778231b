// Many pods at once. Also the test to run under the thread sanitizer.
#include "src/attach/attacher.h"
#include "tests/support/attach_fixture.h"

#include <atomic>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::attach {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

class ConcurrencyTest : public AttachFixture {};

TEST_F(ConcurrencyTest, OfPodsRacingForOneRailSetExactlyOneWins) {
  for (int i = 1; i < 6; ++i) addPod("trainer-" + std::to_string(i), 0);
  start();
  const std::string before = kernel_.snapshot();
  std::atomic<int> won{0};
  std::atomic<int> busy{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&, i] {
      const auto result = attacher_->add(request(CniCommand::kAdd, "trainer-" + std::to_string(i)));
      if (result.has_value()) {
        ++won;
      } else if (result.error().code == ErrorCode::kBusy) {
        ++busy;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(won, 1);
  EXPECT_EQ(busy, 5);
  EXPECT_THAT(journalFiles(), SizeIs(1));
  for (int i = 0; i < 6; ++i) {
    EXPECT_TRUE(
        attacher_->del(request(CniCommand::kDel, "trainer-" + std::to_string(i))).has_value());
  }
  EXPECT_EQ(kernel_.snapshot(), before);
}

TEST_F(ConcurrencyTest, PodsComeAndGoBesideASweep) {
  for (int i = 1; i < 4; ++i) addPod("trainer-" + std::to_string(i), i);
  start();
  const std::string before = kernel_.snapshot();
  std::atomic<bool> done{false};
  std::thread sweeping([&] {
    while (!done) EXPECT_THAT(attacher_->sweep().done, IsEmpty());
  });
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, pod = "trainer-" + std::to_string(i)] {
      for (int round = 0; round < 3; ++round) {
        const auto result = attacher_->add(request(CniCommand::kAdd, pod));
        EXPECT_TRUE(result.has_value()) << result.error().describe();
        EXPECT_TRUE(attacher_->del(request(CniCommand::kDel, pod)).has_value());
      }
    });
  }
  for (auto& thread : threads) thread.join();
  done = true;
  sweeping.join();
  EXPECT_EQ(kernel_.snapshot(), before);
  EXPECT_THAT(journalFiles(), IsEmpty());
}

TEST_F(ConcurrencyTest, RepeatedAddsOfOneSandboxAgree) {
  start();
  std::vector<std::thread> threads;
  std::vector<std::string> results(4);
  for (auto& result : results) {
    threads.emplace_back([&] {
      const auto added = attacher_->add(request(CniCommand::kAdd));
      if (added.has_value()) result = *added;
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& result : results) {
    EXPECT_FALSE(result.empty());
    EXPECT_EQ(result, results[0]);
  }
}

}  // namespace
}  // namespace railhead::attach
