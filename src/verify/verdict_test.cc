#include "src/verify/verdict.h"

#include "src/base/text.h"

#include <fstream>
#include <set>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::verify {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr Data kAllData[] = {Data::kUnchecked, Data::kRight, Data::kWrong};
constexpr Way kAllWays[] = {Way::kUntold,  Way::kPartial, Way::kGdr,   Way::kHost,
                            Way::kSockets, Way::kLocal,   Way::kOther, Way::kMixed};
constexpr Counted kAllCounted[] = {Counted::kUnread, Counted::kRdma, Counted::kTcp, Counted::kBoth,
                                   Counted::kNeither};
constexpr Capability kAllCapabilities[] = {Capability::kUnknown, Capability::kYes, Capability::kNo,
                                           Capability::kOneEnd, Capability::kConflict};

DirectionFacts facts(Way way, Counted counted, Capability capability, Data data = Data::kRight) {
  DirectionFacts made;
  made.from = 0;
  made.to = 1;
  made.fromName = "rank 0 (spark-a)";
  made.toName = "rank 1 (spark-b)";
  made.way = way;
  made.counted = counted;
  made.capability = capability;
  made.data = data;
  return made;
}

template <typename T>
std::string cell(const std::vector<T>& values) {
  if (values.empty()) return "any";
  std::vector<std::string> words;
  for (const T value : values) words.emplace_back(word(value));
  return join(words, ", ");
}

TEST(Verdict, NamesEachPath) {
  EXPECT_EQ(judge(facts(Way::kGdr, Counted::kRdma, Capability::kYes)).verdict, Verdict::kGdr);
  EXPECT_EQ(judge(facts(Way::kHost, Counted::kRdma, Capability::kNo)).verdict,
            Verdict::kHostStagedHardware);
  EXPECT_EQ(judge(facts(Way::kHost, Counted::kRdma, Capability::kYes)).verdict,
            Verdict::kHostStagedMisconfigured);
  EXPECT_EQ(judge(facts(Way::kSockets, Counted::kTcp, Capability::kUnknown)).verdict,
            Verdict::kSockets);
  EXPECT_EQ(judge(facts(Way::kMixed, Counted::kRdma, Capability::kYes)).verdict, Verdict::kMixed);
  EXPECT_EQ(judge(facts(Way::kLocal, Counted::kUnread, Capability::kYes)).verdict, Verdict::kLocal);
}

// Whatever is missing or in conflict: never one of the verdicts that claim to know.
TEST(Verdict, IsUnprovenUnlessEverythingAgrees) {
  for (const Data data : kAllData) {
    for (const Way way : kAllWays) {
      for (const Counted counted : kAllCounted) {
        for (const Capability capability : kAllCapabilities) {
          const auto judged = judge(facts(way, counted, capability, data));
          const bool proven = judged.verdict != Verdict::kUnproven;
          if (judged.verdict == Verdict::kLocal) {
            EXPECT_EQ(way, Way::kLocal);
            continue;
          }
          if (proven) {
            EXPECT_EQ(data, Data::kRight);
            EXPECT_NE(counted, Counted::kUnread);
            EXPECT_NE(counted, Counted::kNeither);
            EXPECT_THAT(way, Not(testing::AnyOf(Way::kUntold, Way::kPartial)));
          } else {
            EXPECT_FALSE(judged.reason.empty()) << judged.rule;
            EXPECT_FALSE(judged.remedies.empty())
                << judged.rule << ": an unproven verdict says what to switch on";
          }
          if (judged.verdict == Verdict::kGdr) {
            EXPECT_EQ(way, Way::kGdr);
            EXPECT_EQ(counted, Counted::kRdma);
            EXPECT_EQ(capability, Capability::kYes);
          }
        }
      }
    }
  }
}

// Each rule is the answer to something: none is hidden by those above it.
TEST(Verdict, EveryRuleIsReached) {
  std::set<std::string> reached;
  for (const Data data : kAllData) {
    for (const Way way : kAllWays) {
      for (const Counted counted : kAllCounted) {
        for (const Capability capability : kAllCapabilities) {
          reached.insert(judge(facts(way, counted, capability, data)).rule);
        }
      }
    }
  }
  for (const auto& rule : rules()) EXPECT_THAT(reached, Contains(std::string(rule.id)));
}

// docs/reference/verdict.md prints the table: one row a rule, in order.
TEST(Verdict, TheDocumentPrintsTheRules) {
  std::ifstream in("docs/reference/verdict.md");
  std::vector<std::string> told, expected;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("| V")) told.push_back(line);
  }
  for (const auto& rule : rules()) {
    expected.push_back("| " + std::string(rule.id) + " | " + cell(rule.data) + " | " +
                       cell(rule.way) + " | " + cell(rule.counted) + " | " + cell(rule.capability) +
                       " | **" + std::string(verdictText(rule.verdict)) + "** | " +
                       std::string(rule.reason) + " |");
  }
  EXPECT_EQ(told, expected);
}

TEST(Verdict, SaysWhatToSwitchOn) {
  const auto untold =
      judge(facts(Way::kUntold, Counted::kUnread, Capability::kUnknown, Data::kUnchecked));
  EXPECT_EQ(untold.rule, "V02");
  EXPECT_THAT(untold.remedies, Contains(HasSubstr("NCCL_DEBUG=INFO")));
  EXPECT_THAT(untold.remedies, Contains(HasSubstr("counters")));
  EXPECT_THAT(untold.remedies, Contains(HasSubstr("data check")));
  EXPECT_THAT(untold.remedies, Contains(HasSubstr("CUDA")));
  auto partial = facts(Way::kPartial, Counted::kRdma, Capability::kNo);
  partial.partialReason = "the receiving end says nothing";
  EXPECT_THAT(judge(partial).reason, HasSubstr("receiving end"));
  auto wrong = facts(Way::kHost, Counted::kRdma, Capability::kYes);
  wrong.causes = {"spark-a: NCCL_NET_GDR_LEVEL=LOC keeps NCCL from GPU memory: unset it"};
  EXPECT_THAT(judge(wrong).remedies, ElementsAre(HasSubstr("GDR_LEVEL")));
}

TEST(Verdict, FindsOneRailAndTheShare) {
  auto one = facts(Way::kHost, Counted::kRdma, Capability::kNo);
  one.railsUsed = {"rocep1s0f0"};
  one.railsAvailable = {"rocep1s0f0", "roceP2p1s0f0"};
  one.rate = BitRate{92e9};
  one.ceiling = bench::wireCeiling({200e9}, 4096).value();
  one.retransmits = 7;
  one.insideNic = true;
  const auto judged = judge(one);
  ASSERT_TRUE(judged.share.has_value());
  EXPECT_NEAR(*judged.share, 0.469, 0.001);
  std::vector<std::string> texts;
  for (const auto& finding : judged.findings) texts.push_back(finding.text);
  EXPECT_THAT(texts, ElementsAre("one rail only: rocep1s0f0 of rocep1s0f0, roceP2p1s0f0",
                                 "92 Gb/s, 47 % of the ceiling of 196 Gb/s",
                                 HasSubstr("inside the NIC"), "7 packets sent again"));
  one.railsOfNode = one.railsUsed;
  EXPECT_EQ(judge(one).findings.size(), 4U);
  one.railsOfNode = one.railsAvailable;
  EXPECT_EQ(judge(one).findings.size(), 3U) << "another rank of the node uses the other rail";
  one.railsUsed = one.railsAvailable;
  one.retransmits = 0;
  one.insideNic = false;
  EXPECT_EQ(judge(one).findings.size(), 1U);
}

TEST(Expectation, IsAGate) {
  const auto staged = judge(facts(Way::kHost, Counted::kRdma, Capability::kNo));
  const auto direct = judge(facts(Way::kGdr, Counted::kRdma, Capability::kYes));
  const auto slow = judge(facts(Way::kSockets, Counted::kTcp, Capability::kNo));
  const auto local = judge(facts(Way::kLocal, Counted::kUnread, Capability::kNo));
  const Expectation gdr{Expectation::Path::kGdr, {}}, rdma{Expectation::Path::kRdma, {}};
  EXPECT_TRUE(check({direct, local}, gdr).holds);
  EXPECT_FALSE(check({direct, staged}, gdr).holds);
  EXPECT_TRUE(check({direct, staged}, rdma).holds);
  const auto failed = check({direct, slow}, rdma);
  EXPECT_FALSE(failed.holds);
  EXPECT_EQ(failed.remedies, judge(facts(Way::kSockets, Counted::kTcp, Capability::kNo)).remedies);
  EXPECT_THAT(failed.failures, ElementsAre(HasSubstr("sockets, expected rdma")));
  EXPECT_TRUE(check({slow}, {}).holds);
  EXPECT_FALSE(check({local}, rdma).holds) << "nothing was shown";
  EXPECT_FALSE(check({}, {}).holds);
}

TEST(Expectation, HoldsTheShareAgainstAFloor) {
  auto told = facts(Way::kHost, Counted::kRdma, Capability::kNo);
  Expectation floor;
  floor.minShare = 0.9;
  EXPECT_THAT(check({judge(told)}, floor).failures, ElementsAre(HasSubstr("not known")));
  EXPECT_THAT(check({judge(told)}, floor).remedies, ElementsAre(HasSubstr("--line-rate")));
  told.ceiling = bench::wireCeiling({200e9}, 4096).value();
  told.rate = BitRate{190e9};
  EXPECT_TRUE(check({judge(told)}, floor).holds);
  told.rate = BitRate{92e9};
  EXPECT_THAT(check({judge(told)}, floor).failures, ElementsAre(HasSubstr("47 %")));
}

TEST(Expectation, ReadsItsWords) {
  EXPECT_EQ(parseExpectedPath("gdr").value(), Expectation::Path::kGdr);
  EXPECT_EQ(parseExpectedPath("rdma").value(), Expectation::Path::kRdma);
  const auto wrong = parseExpectedPath("gpu");
  ASSERT_FALSE(wrong.has_value());
  EXPECT_EQ(wrong.error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace railhead::verify
