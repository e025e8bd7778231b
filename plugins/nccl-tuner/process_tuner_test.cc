#include "plugins/nccl-tuner/process_tuner.h"

#include "plugins/nccl-tuner/proof_place.h"
#include "tests/support/tuner_fixture.h"

#include <array>
#include <cmath>
#include <fstream>
#include <limits>
#include <memory>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace railhead::nccl_tuner {
namespace {

using testing::HasSubstr;

using Costs = std::array<float, 21>;

Costs costs() {
  Costs all;
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<float>(i + 1);
  return all;
}

Decision decisionOf(Costs& all, int& channels) {
  return {.collective = 4,
          .bytes = 1000,
          .costs = all.data(),
          .algorithms = 7,
          .protocols = 3,
          .channels = &channels};
}

TEST(TunerApply, MakesOneEntryWin) {
  auto all = costs();
  int channels = 0;
  apply({.algorithm = 6, .protocol = 2, .channels = 0}, decisionOf(all, channels));
  auto expected = costs();
  expected[20] = 0.0F;
  EXPECT_EQ(all, expected);
  EXPECT_EQ(channels, 0) << "NCCL's own";
  apply({.algorithm = 1, .protocol = 0, .channels = 8}, decisionOf(all, channels));
  expected[3] = 0.0F;
  EXPECT_EQ(all, expected);
  EXPECT_EQ(channels, 8);
}

TEST(TunerApply, LeavesWhatThisCommunicatorCannotDo) {
  for (const float cost : {-1.0F, -0.5F, std::numeric_limits<float>::quiet_NaN()}) {
    auto all = costs();
    all[3] = cost;
    int channels = 0;
    apply({.algorithm = 1, .protocol = 0, .channels = 8}, decisionOf(all, channels));
    EXPECT_TRUE(std::isnan(cost) ? std::isnan(all[3]) : all[3] == cost);
    EXPECT_EQ(channels, 0);
  }
}

TEST(TunerApply, LeavesTablesItDoesNotKnow) {
  auto all = costs();
  int channels = 0;
  const auto unchanged = [&](auto change, Choice choice = {5, 2, 8}) {
    auto decision = decisionOf(all, channels);
    change(decision);
    apply(choice, decision);
    return all == costs() && channels == 0;
  };
  constexpr int kLeast = std::numeric_limits<int>::min();
  constexpr int kMost = std::numeric_limits<int>::max();
  EXPECT_TRUE(unchanged([](Decision& d) { d.costs = nullptr; }));
  EXPECT_TRUE(unchanged([](Decision& d) { d.channels = nullptr; })) << "all of it or nothing";
  EXPECT_TRUE(unchanged([](Decision& d) {
    d.costs = reinterpret_cast<float*>(reinterpret_cast<char*>(d.costs) + 1);
  }));
  for (const int count : {kLeast, -1, 0, 5, 8, kMost})
    EXPECT_TRUE(unchanged([&](Decision& d) { d.algorithms = count; })) << count;
  for (const int count : {kLeast, -1, 0, 2, 4, kMost})
    EXPECT_TRUE(unchanged([&](Decision& d) { d.protocols = count; })) << count;
  EXPECT_TRUE(unchanged([](Decision&) {}, {7, 0, 0}));
  EXPECT_TRUE(unchanged([](Decision&) {}, {0, 3, 0}));
  auto six = decisionOf(all, channels);  // NCCL 2.22
  six.algorithms = 6;
  apply({5, 2, 8}, six);
  EXPECT_EQ(all[17], 0.0F);
}

TEST(TunerPort, IsMastersNeighbour) {
  EXPECT_EQ(portBeside(29500), 29517);
  EXPECT_EQ(portBeside(65518), 65535);
  EXPECT_EQ(portBeside(65519), 1024);
  EXPECT_EQ(portBeside(65535), 1040);
  EXPECT_EQ(portBeside(80), 1024);
}

class Tuner : public TunerEnvironment {
 protected:
  // How the log tells of a communicator, and its context.
  std::string opened(std::size_t ranks, std::size_t nodes) {
    context_ = tuner_->open(ranks, nodes, keepLog);
    return lastLog();
  }
  // What comes of a decision with that context: the entry that wins and the channels.
  std::vector<int> decided(int collective, std::uint64_t bytes) {
    auto all = costs();
    int channels = 0;
    auto decision = decisionOf(all, channels);
    decision.collective = collective;
    decision.bytes = bytes;
    tuner_->decide(context_, decision);
    for (int i = 0; i < 21; ++i) {
      if (all[static_cast<std::size_t>(i)] == 0.0F) return {i / 3, i % 3, channels};
    }
    EXPECT_EQ(channels, 0);
    return {};
  }

  std::unique_ptr<ProcessTuner> tuner_ = std::make_unique<ProcessTuner>();
  const void* context_ = nullptr;
};

TEST_F(Tuner, DecidesByAnAgreedTable) {
  set("RAILHEAD_TUNER_TABLE", writeTable("agreed.table", kHashA,
                                         "allreduce 2 1 0 999 tree ll 0\n"
                                         "allreduce 2 1 1000 1000 ring simple 4\n"));
  set("RAILHEAD_TUNER_AGREED", kHashA);
  EXPECT_EQ(opened(2, 1),
            "railhead tuner: on: table aaaaaaaaaaaa, agreed, 2 of its 2 lines for 2 "
            "ranks on 1 nodes");
  EXPECT_THAT(decided(4, 999), testing::ElementsAre(0, 0, 0));
  EXPECT_THAT(decided(4, 1000), testing::ElementsAre(1, 2, 4));
  EXPECT_THAT(decided(4, 1001), testing::IsEmpty());
  EXPECT_THAT(decided(0, 1), testing::IsEmpty());
  EXPECT_THAT(opened(4, 1), HasSubstr("off: table aaaaaaaaaaaa has no line for 4 ranks"));
  EXPECT_THAT(decided(4, 999), testing::IsEmpty());
  EXPECT_THAT(opened(1, 1), HasSubstr("off: a communicator of one rank"));
  EXPECT_EQ(context_, nullptr);
  context_ = this;  // not one of its own
  EXPECT_THAT(decided(4, 999), testing::IsEmpty());
}

TEST_F(Tuner, HoldsAnAgreementToTheDigestWhenItNamesOne) {
  const auto path = writeTable("digest.table", kHashA, "allreduce 2 1 0 999 tree ll 0\n");
  Table table;
  Remark why;
  ASSERT_TRUE(readTableFile(path.c_str(), table, why)) << why.text;
  char digest[17];
  std::snprintf(digest, sizeof digest, "%016llx",
                static_cast<unsigned long long>(table.identity().bytes));
  set("RAILHEAD_TUNER_TABLE", path);
  const auto told = [&](const std::string& agreed) {
    set("RAILHEAD_TUNER_AGREED", agreed);
    tuner_ = std::make_unique<ProcessTuner>();
    return opened(2, 1);
  };
  EXPECT_THAT(told(kHashA + ":" + digest), HasSubstr("on: table aaaaaaaaaaaa, agreed"));
  EXPECT_THAT(told(kHashA + ":0123456789abcdef"),
              HasSubstr(std::string("and this rank's table has the digest ") + digest));
  for (const std::string& wrong : {kHashA + ":", kHashA + "x", kHashA + ":" + digest + "0"})
    EXPECT_THAT(told(wrong), HasSubstr("off: the ranks agreed on")) << wrong;
  writeTable("digest.table", kHashA, "allreduce 2 1 0 999 ring ll 0\n");  // under the same hash
  EXPECT_THAT(told(kHashA + ":" + digest), HasSubstr("has the digest"));
  EXPECT_THAT(told(kHashA), HasSubstr("on: table")) << "the hash alone trusts the file";
}

TEST_F(Tuner, SaysWhyItIsOff) {
  const auto off = [&] {
    tuner_ = std::make_unique<ProcessTuner>();
    auto told = opened(2, 1);
    EXPECT_EQ(context_, nullptr);
    EXPECT_THAT(told, testing::StartsWith("railhead tuner: off: "));
    return told;
  };
  set("RAILHEAD_TUNER_TABLE", "/none/such.table");
  EXPECT_THAT(off(), HasSubstr("no table at /none/such.table"));
  set("RAILHEAD_TUNER_TABLE", writeTable("bad.table", "short", ""));
  EXPECT_THAT(off(), HasSubstr("line 2"));
  set("RAILHEAD_TUNER_TABLE", writeTable("off.table", kHashA, "allreduce 2 1 0 9 tree ll 0\n"));
  set("RAILHEAD_TUNER_AGREED", kHashB);
  EXPECT_THAT(off(), HasSubstr("agreed on table bbbbbbbbbbbb, and this rank has aaaaaaaaaaaa"));
  set("RAILHEAD_TUNER_AGREED", "");
  EXPECT_THAT(off(), HasSubstr("WORLD_SIZE is not set"));
  set("WORLD_SIZE", "2");
  EXPECT_THAT(off(), HasSubstr("RANK is not set"));
  set("RANK", "2");
  EXPECT_THAT(off(), HasSubstr("RANK is '2', not a number from 0 to 1"));
  set("RANK", "0");
  EXPECT_THAT(off(), HasSubstr("MASTER_PORT is not set"));
  set("MASTER_PORT", "70000");
  EXPECT_THAT(off(), HasSubstr("MASTER_PORT is '70000'"));
  set("MASTER_PORT", "29500");
  EXPECT_THAT(off(), HasSubstr("MASTER_ADDR is not set"));
  set("MASTER_ADDR", "127.0.0.1");
  set("RAILHEAD_TUNER_PROOF_SECONDS", "0");
  EXPECT_THAT(off(), HasSubstr("RAILHEAD_TUNER_PROOF_SECONDS is '0'"));
  set("RAILHEAD_TUNER_PROOF_SECONDS", "1");
  set("WORLD_SIZE", "1");
  EXPECT_THAT(off(), HasSubstr("WORLD_SIZE is 1"));
  set("WORLD_SIZE", "4097");
  EXPECT_THAT(off(), HasSubstr("WORLD_SIZE is '4097'"));
  set("WORLD_SIZE", "4");
  EXPECT_THAT(off(), HasSubstr("the first communicator has 2 ranks, not all 4"));
  set("RAILHEAD_TUNER_LIVE", "/none/such.live");
  EXPECT_THAT(off(), HasSubstr("the live table /none/such.live cannot be opened"));
}

TEST_F(Tuner, DecidesWithoutTheKernel) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "the thread sanitizer calls the kernel itself";
#endif
  const auto path = at("kernel.live");
  std::ofstream(path, std::ios::binary) << std::string(64, '\0');
  set("RAILHEAD_TUNER_TABLE", writeTable("kernel.table", kHashA, "allreduce 2 1 0 9 ring ll 0\n"));
  set("RAILHEAD_TUNER_AGREED", kHashA);
  for (const bool live : {false, true}) {
    if (live) set("RAILHEAD_TUNER_LIVE", path);
    tuner_ = std::make_unique<ProcessTuner>();
    ASSERT_THAT(opened(2, 1), HasSubstr(": on: "));
    if (live) writeLive(*mapForWriting(path), {1, 0, 0});
    const pid_t child = ::fork();
    if (child == 0) {
      auto all = costs();
      int channels = 0;
      if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0) ::_exit(77);
      for (std::uint64_t bytes = 0; bytes < 1000; ++bytes) {  // any call but exit kills it
        auto decision = decisionOf(all, channels);
        decision.bytes = bytes;
        tuner_->decide(context_, decision);
      }
      ::syscall(SYS_exit, all[3] == 0.0F ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
    if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "no seccomp here";
    EXPECT_EQ(WEXITSTATUS(status), 0);
  }
}

TEST_F(Tuner, FollowsALiveTable) {
  const auto path = at("follow.live");
  std::ofstream(path, std::ios::binary) << std::string(64, '\0');
  set("RAILHEAD_TUNER_LIVE", path);
  EXPECT_THAT(opened(2, 1), HasSubstr("on: live choices"));
  EXPECT_THAT(decided(4, 1), testing::IsEmpty());
  auto* live = mapForWriting(path);
  ASSERT_NE(live, nullptr);
  writeLive(*live, {.algorithm = 1, .protocol = 2, .channels = 0});
  EXPECT_THAT(decided(4, 1), testing::ElementsAre(1, 2, 0));
  writeLive(*live, {.algorithm = 0, .protocol = 0, .channels = 64});
  EXPECT_THAT(decided(0, UINT64_MAX), testing::ElementsAre(0, 0, 64));
  for (const std::uint32_t other : {2U, 3U, 4U, 5U, 6U}) {  // NCCL may not bound its channels
    writeLive(*live, {.algorithm = other, .protocol = 2, .channels = 1});
    EXPECT_THAT(decided(4, 1), testing::IsEmpty()) << other;
    writeLive(*live, {.algorithm = other, .protocol = 2, .channels = 0});
    EXPECT_THAT(decided(4, 1), testing::ElementsAre(other, 2, 0));
  }
  for (const LiveChoice hostile : {LiveChoice{7, 0, 0}, LiveChoice{0, 3, 0}, LiveChoice{0, 0, 65},
                                   LiveChoice{UINT32_MAX, UINT32_MAX, UINT32_MAX}, kNcclDecides}) {
    writeLive(*live, hostile);
    EXPECT_THAT(decided(4, 1), testing::IsEmpty());
  }
}

}  // namespace
}  // namespace railhead::nccl_tuner
