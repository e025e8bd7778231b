// Writes, reads and sends over several queue pairs: what is measured, and that no wrong byte passes
// in either direction.
#include "src/bench/verbs_conversation.h"
#include "tests/support/documented_fields.h"
#include "tests/support/verbs_fixture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace railhead::bench {
namespace {

using testing::HasSubstr;
using verbs::CompletionStatus;

struct Case {
  VerbsOperation operation;
  int pairs;
};

class VerbsOperations : public testing_support::VerbsFixture,
                        public testing::WithParamInterface<Case> {
 protected:
  void SetUp() override {
    VerbsFixture::SetUp();
    quick();
    targets_.plan.operation = GetParam().operation;
    targets_.plan.pairsPerRail = GetParam().pairs;
  }
};

void expectOrdered(const Summary& latency) {
  EXPECT_GE(latency.count, 20U);
  EXPECT_GT(latency.minimum, 0);
  EXPECT_LE(latency.minimum, latency.median);
  EXPECT_LE(latency.median, latency.p90);
  EXPECT_LE(latency.p90, latency.p99);
  EXPECT_LE(latency.p99, latency.p999);
  EXPECT_LE(latency.p999, latency.maximum);
  EXPECT_LE(latency.low95, latency.mean);
}

TEST_P(VerbsOperations, EverythingIsMeasuredAndVerified) {
  const Outcome outcome = run();
  ASSERT_TRUE(outcome.connector.has_value()) << outcome.connector.error().describe();
  ASSERT_TRUE(outcome.listener.has_value()) << outcome.listener.error().describe();
  const VerbsReport& report = *outcome.connector;
  EXPECT_TRUE(report.verified);
  EXPECT_TRUE(outcome.listener->verified);
  for (const auto& rail : report.rails) {
    EXPECT_EQ(rail.bytesChecked, 4U * 4096 * 4 + 2 * (8U * 8 + 4096));
    EXPECT_GT(rail.rate.bitsPerSecond, 0);
    EXPECT_EQ(rail.intervals.count, 10U);
    EXPECT_GT(rail.messageRate.perSecond, 0);
    EXPECT_GT(rail.messageRate.perSecondTogether, 0);
    EXPECT_EQ(rail.messageRate.intervals.count, 10U);
    expectOrdered(rail.latency);
  }
  EXPECT_DOUBLE_EQ(report.allRailsMessagesPerSecond,
                   report.rails[0].messageRate.perSecondTogether +
                       report.rails[1].messageRate.perSecondTogether);
  EXPECT_EQ(report.latencyByMemory, GetParam().operation == VerbsOperation::kWrite);
  EXPECT_EQ(fabric_.liveObjects(), 0U);
}

TEST_P(VerbsOperations, AWrongByteOfWhatTheConnectorAsksForIsFound) {
  fabric_.corruptByte("a0", 3, 100);  // message 3 takes slot 3, however many pairs there are
  const Outcome outcome = run();
  ASSERT_TRUE(outcome.connector.has_value()) << outcome.connector.error().describe();
  ASSERT_TRUE(outcome.connector->failure.has_value());
  EXPECT_EQ(outcome.connector->failure->code, ErrorCode::kCheckFailed);
  EXPECT_THAT(outcome.connector->failure->message, HasSubstr("rail 0"));
  EXPECT_THAT(outcome.connector->failure->message, HasSubstr("byte 12388 is"));
  EXPECT_THAT(outcome.connector->failure->message, HasSubstr("1 of 16384 bytes"));
  EXPECT_EQ(outcome.connector->bytesWrong, 1U);
  EXPECT_FALSE(outcome.listener.has_value() && outcome.listener->verified);
  EXPECT_EQ(fabric_.liveObjects(), 0U);
}

TEST_P(VerbsOperations, AWrongByteOfWhatTheListenerAsksForIsFound) {
  fabric_.corruptByte("b1", 0, 7);
  const Outcome outcome = run();
  ASSERT_TRUE(outcome.connector.has_value()) << outcome.connector.error().describe();
  ASSERT_TRUE(outcome.connector->failure.has_value());
  EXPECT_THAT(outcome.connector->failure->message, HasSubstr("rail 1"));
  EXPECT_THAT(outcome.connector->failure->message, HasSubstr("byte 7 is"));
  EXPECT_EQ(outcome.connector->bytesWrong, 1U);
  EXPECT_FALSE(outcome.listener.has_value() && outcome.listener->verified);
}

TEST_P(VerbsOperations, AMessageThatNeverArrivedIsFound) {
  fabric_.dropWrite("a1", 1);
  const Outcome outcome = run();
  ASSERT_TRUE(outcome.connector.has_value()) << outcome.connector.error().describe();
  ASSERT_TRUE(outcome.connector->failure.has_value());
  EXPECT_EQ(outcome.connector->bytesWrong, 4096U);
}

TEST_P(VerbsOperations, ARailThatDoesNotCarryIsNamed) {
  fabric_.failWrite("a1", 1, CompletionStatus::kRetryExceeded);
  const Outcome outcome = run();
  ASSERT_FALSE(outcome.connector.has_value());
  EXPECT_EQ(outcome.connector.error().code, ErrorCode::kCheckFailed);
  const std::string name(verbsOperationName(GetParam().operation));
  EXPECT_THAT(outcome.connector.error().message, HasSubstr("rail 1 (a1 to 10.100.1.2)"));
  EXPECT_THAT(outcome.connector.error().message, HasSubstr("an RDMA " + name + " failed"));
  ASSERT_FALSE(outcome.listener.has_value());
  EXPECT_EQ(outcome.listener.error().code, ErrorCode::kCheckFailed);
}

TEST_P(VerbsOperations, TheListenersFailureReachesTheConnector) {
  fabric_.failWrite("b0", 2, CompletionStatus::kRemoteAccess);
  const Outcome outcome = run();
  ASSERT_FALSE(outcome.connector.has_value());
  EXPECT_THAT(outcome.connector.error().message, HasSubstr("at the peer"));
  EXPECT_THAT(outcome.connector.error().message, HasSubstr("refused the address"));
  EXPECT_FALSE(outcome.listener.has_value());
}

TEST_P(VerbsOperations, ASweepMeasuresEverySizeAgainstItsOwnCeiling) {
  oneRail();
  targets_.plan.sizes = parseMessageSizes("8..8KiB").value();
  targets_.lineRates = {BitRate{200e6}};
  const Outcome outcome = run();
  ASSERT_TRUE(outcome.connector.has_value()) << outcome.connector.error().describe();
  const VerbsReport& report = *outcome.connector;
  ASSERT_EQ(report.rails[0].sizes.size(), 11U);
  ASSERT_EQ(report.allRailsSizes.size(), 11U);
  const auto& smallest = report.rails[0].sizes.front();
  const auto& largest = report.rails[0].sizes.back();
  EXPECT_EQ(smallest.messageBytes, 8U);
  EXPECT_EQ(largest.messageBytes, 8192U);
  const int header = GetParam().operation == VerbsOperation::kWrite  ? 16
                     : GetParam().operation == VerbsOperation::kRead ? 4
                                                                     : 0;
  EXPECT_NEAR(smallest.ceiling->rate.gbps(), 0.2 * 8 / (8 + 82 + header), 1e-6);
  EXPECT_NEAR(largest.ceiling->rate.gbps(), 0.2 * 8192 / (8192 + 8 * 82 + header), 1e-6);
  EXPECT_GT(smallest.rate.bitsPerSecond, 0);
  EXPECT_DOUBLE_EQ(report.allRailsSizes.back().rate.gbps(), largest.rateTogether.gbps());
  EXPECT_EQ(largest.intervals.count, 10U);
}

TEST_P(VerbsOperations, AWrongByteInTheSweepEndsTheRun) {
  oneRail();
  targets_.plan.sizes = {64};
  VerbsSession connector = session(a_);
  connector.progress = [&](std::string_view step) {
    if (!step.starts_with("64 B")) return;
    fabric_.setRate("a0", {128e3});  // 4 ms a message: the time ends before slot 3 comes again
    fabric_.corruptByte("a0", 3, 10);
  };
  auto listening =
      std::async(std::launch::async, [this] { return serveVerbs(session(b_), listener_.get()); });
  const auto report = runVerbs(connector, endpoint_, targets_);
  const auto listener = listening.get();
  ASSERT_TRUE(report.has_value()) << report.error().describe();
  ASSERT_TRUE(report->failure.has_value());
  EXPECT_THAT(report->failure->message, HasSubstr("byte 202 is"));
  EXPECT_EQ(report->bytesWrong, 1U);
  EXPECT_FALSE(listener.has_value() && listener->verified);
}

INSTANTIATE_TEST_SUITE_P(
    Each, VerbsOperations,
    testing::Values(Case{VerbsOperation::kWrite, 1}, Case{VerbsOperation::kWrite, 3},
                    Case{VerbsOperation::kRead, 1}, Case{VerbsOperation::kRead, 3},
                    Case{VerbsOperation::kSend, 1}, Case{VerbsOperation::kSend, 3}),
    [](const auto& each) {
      return std::string(verbsOperationName(each.param.operation)) +
             std::to_string(each.param.pairs);
    });

class VerbsAgreement : public testing_support::VerbsFixture {};

TEST_F(VerbsAgreement, APeerOfAnotherVersionIsRefusedInOneLine) {
  auto listening = std::async(std::launch::async, [this] {
    VerbsSession waiting = session(b_);
    waiting.meetBy = within(std::chrono::milliseconds(300));
    return serveVerbs(waiting, listener_.get());
  });
  const auto old =
      meetAsConnector(endpoint_, {"bench-verbs 1", "t"}, within(std::chrono::seconds(5)));
  ASSERT_FALSE(old.has_value());
  EXPECT_EQ(exitCodeFor(old.error().code), ExitCode::kEnvironment);
  EXPECT_THAT(old.error().message, HasSubstr("this end runs 'bench-verbs 2', the peer"));
  EXPECT_THAT(old.error().message, testing::Not(HasSubstr("\n")));
  const auto listener = listening.get();
  ASSERT_FALSE(listener.has_value());
  EXPECT_THAT(listener.error().message, HasSubstr("the peer 'bench-verbs 1'"));
}

TEST_F(VerbsAgreement, ALoadOutsideOfThePlanIsRefused) {
  for (const auto& [bytes, outstanding] :
       {std::pair<std::uint64_t, int>{4096, 5}, {0, 4}, {4096, 0}, {VerbsPlan::kMaxMessage, 4}}) {
    auto listening =
        std::async(std::launch::async, [this] { return serveVerbs(session(b_), listener_.get()); });
    auto rails = openRails(a_, chooseRails(a_, {}).value(), targets_.plan, {}).value();
    const auto soon = within(std::chrono::seconds(5));
    Channel channel = meetAsConnector(endpoint_, {kVerbsPurpose, "t"}, soon).value();
    ASSERT_TRUE(channel.send(encode(Hello{targets_.plan, offersOf(rails)}), soon).has_value());
    ASSERT_TRUE(decodeWelcome(channel.receive(soon).value()).has_value());
    ASSERT_TRUE(
        channel.send(encode(Command{CommandKind::kPush, 0, 1, bytes, outstanding, ""}), soon)
            .has_value());
    const auto listener = listening.get();
    ASSERT_FALSE(listener.has_value());
    EXPECT_THAT(listener.error().message, HasSubstr("outside what was agreed"));
  }
}

TEST_F(VerbsAgreement, ThePageNamesEveryFieldOfTheJson) {
  targets_.plan.sizes = {64};
  targets_.lineRates = {BitRate{200e6}};
  const Outcome outcome = run();
  ASSERT_TRUE(outcome.connector.has_value()) << outcome.connector.error().describe();
  const auto json = nlohmann::json::parse(toJson(*outcome.connector));
  const auto page = testing_support::readText("docs/reference/bench-verbs.md");
  auto documented = testing_support::documentedFields(page, "JSON");
  // Without a device in sysfs there is none to list.
  for (auto field = documented.begin(); field != documented.end();) {
    field = field->find("environment.devices[]") != std::string::npos ? documented.erase(field)
                                                                      : std::next(field);
  }
  EXPECT_EQ(documented, testing_support::fieldsOf(json));
}

TEST(VerbsPlanSizes, ARangeDoublesAndAListStandsAsItIs) {
  EXPECT_EQ(parseMessageSizes("8..64").value(), (std::vector<std::size_t>{8, 16, 32, 64}));
  EXPECT_EQ(parseMessageSizes("4KiB..4KiB").value(), (std::vector<std::size_t>{4096}));
  EXPECT_EQ(parseMessageSizes("8..8MiB").value().size(), 21U);
  EXPECT_EQ(parseMessageSizes("100, 1MiB,8K").value(),
            (std::vector<std::size_t>{100, 1 << 20, 8192}));
  for (const char* bad : {"", "8..", "..8", "64..8", "9..64", "1e3", "-8", "8,,9",
                          "99999999999999999999", "8..4294967297GiB"}) {
    const auto sizes = parseMessageSizes(bad);
    ASSERT_FALSE(sizes.has_value()) << bad;
    EXPECT_EQ(sizes.error().code, ErrorCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace railhead::bench
