#include "plugins/nccl-tuner/live_table.h"

#include "plugins/nccl-tuner/files.h"
#include "src/base/random.h"
#include "tests/support/temporary_folder.h"

#include <atomic>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::nccl_tuner {
namespace {

TEST(LiveTable, IsEmptyUntilWritten) {
  LiveTable live{};
  LiveChoice read;
  EXPECT_FALSE(readLive(live, read));
  writeLive(live, {1, 2, 3});
  ASSERT_TRUE(readLive(live, read));
  EXPECT_EQ(read.algorithm, 1U);
  EXPECT_EQ(read.protocol, 2U);
  EXPECT_EQ(read.channels, 3U);
}

TEST(LiveTable, HasNoChoiceWhileItIsWritten) {
  LiveTable live{};
  writeLive(live, {1, 2, 3});
  live.sequence.fetch_add(1);
  LiveChoice read;
  EXPECT_FALSE(readLive(live, read));
  writeLive(live, {4, 0, 0});  // after a writer that died half-way
  ASSERT_TRUE(readLive(live, read));
  EXPECT_EQ(read.algorithm, 4U);
}

TEST(LiveTable, KeepsCountingPastTheLargestSequence) {
  LiveTable live{};
  live.sequence.store(UINT32_MAX - 1);
  writeLive(live, {1, 1, 1});
  LiveChoice read;
  ASSERT_TRUE(readLive(live, read));
  EXPECT_EQ(live.sequence.load() % 2, 0U);
  EXPECT_NE(live.sequence.load(), 0U);
}

TEST(LiveTable, IsNeverReadHalfWritten) {
  LiveTable live{};
  std::atomic<bool> done{false};
  std::thread writer([&] {
    for (std::uint32_t i = 1; i < 200'000; ++i) writeLive(live, {i, i + 1, i + 2});
    done = true;
  });
  int torn = 0;
  LiveChoice read;
  while (!done) {
    if (!readLive(live, read)) continue;
    if (read.protocol != read.algorithm + 1 || read.channels != read.algorithm + 2) ++torn;
  }
  writer.join();
  EXPECT_EQ(torn, 0);
  ASSERT_TRUE(readLive(live, read));
  EXPECT_EQ(read.algorithm, 199'999U);
}

TEST(LiveTable, StandsAnyBytes) {
  SplitMix random(11);
  for (int round = 0; round < 10'000; ++round) {
    LiveTable live{};
    std::uint64_t bytes[8];
    for (auto& word : bytes) word = random.next();
    std::memcpy(static_cast<void*>(&live), bytes, sizeof bytes);
    LiveChoice read;
    EXPECT_FALSE(readLive(live, read)) << "without its magic";
    live.magic.store(LiveTable::kMagic);
    EXPECT_EQ(readLive(live, read), live.sequence.load() % 2 == 0);
  }
}

TEST(LiveFile, IsMappedOrRefusedWithItsPath) {
  const testing_support::TemporaryFolder folder;
  const auto path = folder.path() + "/live.table";
  Remark why;
  std::ofstream(path, std::ios::binary) << std::string(63, '\0');
  EXPECT_EQ(mapLiveFile(path.c_str(), why), nullptr);
  EXPECT_THAT(why.text, testing::HasSubstr("64 bytes"));
  EXPECT_EQ(mapLiveFile((path + ".none").c_str(), why), nullptr);
  EXPECT_THAT(why.text, testing::HasSubstr("live.table.none cannot be opened"));
  EXPECT_EQ(mapLiveFile(folder.path().c_str(), why), nullptr);
  EXPECT_EQ(mapLiveFile("/dev/null", why), nullptr);
  std::ofstream(path, std::ios::binary) << std::string(64, '\0');
  const auto* live = mapLiveFile(path.c_str(), why);
  ASSERT_NE(live, nullptr) << why.text;
  LiveChoice read;
  EXPECT_FALSE(readLive(*live, read));
}

}  // namespace
}  // namespace railhead::nccl_tuner
