#include "src/verify/run/rank_account.h"

#include "src/verify/run/judge_run.h"

#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace railhead::verify {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string fixture(const std::string& name) {
  std::ifstream in("tests/fixtures/nccl/" + name);
  std::ostringstream text;
  text << in.rdbuf();
  EXPECT_FALSE(text.str().empty()) << name;
  return text.str();
}

RankAccount full() {
  RankAccount account;
  account.rank = 1;
  account.node = "spark-b";
  account.device = "NVIDIA GB10";
  account.backend = "nccl 2.28.9";
  account.gpu = GpuAttributes{false, std::nullopt, true};
  account.peermem = false;
  account.probe = ProbeResult{false, "no"};
  account.sent = {1000, 20, std::nullopt, {{"mlx5_0", 1000}}, {"port_xmit_data"}};
  account.retransmits = 3;
  account.railsAvailable = {"mlx5_0", "mlx5_1"};
  account.log = "spark-b:1:2 [0] NCCL INFO Using network IB\n";
  account.topology = "<system version=\"1\"/>";
  account.ceilingGbps = 196.5;
  account.bytesMoved = 1 << 30;
  account.seconds = 1.5;
  account.bytesChecked = 4096;
  account.notes = {"a note"};
  return account;
}

TEST(RankAccount, GoesThereAndBack) {
  const std::string sent = toJson(full());
  const auto back = parseAccount(sent);
  ASSERT_TRUE(back.has_value()) << back.error().describe();
  EXPECT_EQ(toJson(*back), sent);
  EXPECT_EQ(back->name(), "rank 1 (spark-b)");
}

TEST(RankAccount, AFieldOfAnotherKindIsNamed) {
  for (const char* field : {"node", "bytes_moved", "sent", "notes", "log", "gpu", "probe"}) {
    auto json = nlohmann::json::parse(toJson(full()));
    json[field] = nlohmann::json::array({nlohmann::json::array()});
    const auto parsed = parseAccount(json.dump());
    ASSERT_FALSE(parsed.has_value()) << field;
    EXPECT_EQ(parsed.error().code, ErrorCode::kCorrupt);
  }
  EXPECT_FALSE(parseAccount("").has_value());
  EXPECT_FALSE(parseAccount("[1]").has_value());
}

TEST(RankAccount, OnlyWhatCountsOfALogTravels) {
  const std::string log = fixture("2.28.9-spark-ibext.log");
  const std::string kept = evidenceLines("training step 1\n" + log + "loss 2.1\n", 1 << 20);
  EXPECT_THAT(kept, HasSubstr("via NET/"));
  EXPECT_THAT(kept, Not(HasSubstr("training step")));
  EXPECT_THAT(kept, Not(HasSubstr("loss 2.1")));
  EXPECT_LE(evidenceLines(log, 500).size(), 500U);
  EXPECT_EQ(evidenceLines("x\nUsing network I", 500), "Using network I") << "cut, and stays so";
  EXPECT_EQ(evidenceLines("(worker) /GDRDMA\n", 500), "(worker) /GDRDMA\n") << "torn off a line";
}

// Two ranks of a Spark pair: the log says IB without GDRDMA, the GPU has no GPUDirect RDMA, the
// counters carried what had to move.
std::vector<RankAccount> sparks() {
  const std::string log = evidenceLines(fixture("2.28.9-spark-ibext.log"), 1 << 20);
  std::vector<RankAccount> out;
  for (int rank = 0; rank < 2; ++rank) {
    RankAccount account;
    account.rank = rank;
    account.node = rank == 0 ? "spark-a" : "spark-b";
    account.backend = "nccl 2.28.9";
    account.gpu = GpuAttributes{false, false, true};
    account.peermem = false;
    account.bytesMoved = 1 << 30;
    account.seconds = 1;
    account.bytesChecked = 1 << 20;
    account.sent.rdma = account.received.rdma = (1 << 30) + (1 << 20);
    account.sent.tcp = account.received.tcp = 1000;
    account.railsAvailable = {"rocep1s0f0", "roceP2p1s0f0"};
    if (rank == 0) account.log = log;
    out.push_back(account);
  }
  return out;
}

TEST(JudgeRun, ASparkIsHostStagedByItsHardware) {
  const auto judgements = judgeRun(sparks());
  ASSERT_EQ(judgements.size(), 2U);
  for (const auto& judgement : judgements)
    EXPECT_EQ(judgement.verdict, Verdict::kHostStagedHardware)
        << judgement.rule << ' ' << judgement.reason;
  EXPECT_EQ(overall(judgements), Verdict::kHostStagedHardware);
}

TEST(JudgeRun, WithoutTheLogItIsUnprovenAndSaysWhatToSwitchOn) {
  auto accounts = sparks();
  accounts[0].log.clear();
  const auto judgements = judgeRun(accounts);
  EXPECT_EQ(overall(judgements), Verdict::kUnproven);
  EXPECT_FALSE(judgements[0].remedies.empty());
}

TEST(JudgeRun, CountersThatDoNotFitTheLogAreUnproven) {
  auto accounts = sparks();
  for (auto& account : accounts) {
    account.sent.rdma = account.received.rdma = 10;
    account.sent.tcp = account.received.tcp = std::uint64_t{1} << 30;
  }
  EXPECT_EQ(overall(judgeRun(accounts)), Verdict::kUnproven);
}

TEST(JudgeRun, AWrongByteIsNeverAPath) {
  auto accounts = sparks();
  accounts[1].elementsWrong = 1;
  const auto judgements = judgeRun(accounts);
  EXPECT_EQ(judgements[0].verdict, Verdict::kUnproven);
  EXPECT_EQ(judgements[1].verdict, Verdict::kHostStagedHardware);
}

// Two ranks on each of two nodes, with one rail of their node each.
TEST(JudgeRun, ARankWithARailOfItsOwnIsNoFinding) {
  const auto oneRails = [](const std::vector<std::string>& carried) {
    std::vector<RankAccount> accounts;
    for (int rank = 0; rank < 4; ++rank) {
      accounts.push_back(sparks()[0]);
      accounts.back().rank = rank;
      accounts.back().node = rank < 2 ? "spark-a" : "spark-b";
      accounts.back().sent.rails = {{carried[static_cast<std::size_t>(rank)], 1 << 30}};
    }
    std::vector<int> found;
    for (const auto& judgement : judgeRun(accounts)) {
      for (const auto& finding : judgement.findings) {
        if (finding.kind == FindingKind::kOneRailOnly) found.push_back(judgement.from);
      }
    }
    return found;
  };
  EXPECT_THAT(oneRails({"rocep1s0f0", "roceP2p1s0f0", "rocep1s0f0", "roceP2p1s0f0"}),
              testing::IsEmpty());
  EXPECT_THAT(oneRails({"rocep1s0f0", "rocep1s0f0", "rocep1s0f0", "roceP2p1s0f0"}),
              testing::ElementsAre(0, 1));
}

TEST(JudgeRun, OneRankHasNoDirection) {
  auto accounts = sparks();
  accounts.pop_back();
  EXPECT_TRUE(judgeRun(accounts).empty());
  EXPECT_EQ(overall({}), Verdict::kUnproven);
}

}  // namespace
}  // namespace railhead::verify
