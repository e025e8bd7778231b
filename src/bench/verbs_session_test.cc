// Both ends of the verbs benchmark as two threads, over the in-memory fabric and real loopback TCP.
#include "src/bench/verbs_session.h"

#include "src/bench/verbs_conversation.h"
#include "tests/support/verbs_fixture.h"

#include <algorithm>
#include <chrono>
#include <future>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace railhead::bench {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing_support::FakeVerbs;
using testing_support::simpleDevice;
using verbs::CompletionStatus;

class VerbsSessionTest : public testing_support::VerbsFixture {};

TEST_F(VerbsSessionTest, MeasuresAndVerifiesBothRails) {
  targets_.ceiling = BitRate{200e6};
  Outcome outcome = run();
  // The fake's link carries 200 Mb/s; a busy machine may measure less, never much more.
  const auto isSlow = [](const RailResult& rail) { return rail.rate.gbps() <= 0.020; };
  if (outcome.connector.has_value() &&
      std::any_of(outcome.connector->rails.begin(), outcome.connector->rails.end(), isSlow))
    outcome = run();
  ASSERT_TRUE(outcome.connector.has_value()) << outcome.connector.error().describe();
  ASSERT_TRUE(outcome.listener.has_value()) << outcome.listener.error().describe();
  const VerbsReport& report = *outcome.connector;
  EXPECT_TRUE(report.verified);
  ASSERT_EQ(report.rails.size(), 2U);
  for (const auto& rail : report.rails) {
    EXPECT_LT(rail.rate.gbps(), 0.210);
    EXPECT_GT(rail.rate.gbps(), 0.020);
    EXPECT_GE(rail.latency.count, 20U);
    EXPECT_GT(rail.latency.median, 0);
    // Out, in, alone, together; the small messages twice, each time with a guard behind them.
    EXPECT_EQ(rail.bytesChecked, 4U * 4096 * 4 + 2 * (8U * 8 + 4096));
    EXPECT_EQ(rail.mtu, 1024);
  }
  EXPECT_EQ(report.rails[0].peer.device, "b0");
  EXPECT_EQ(report.rails[1].peer.device, "b1");
  EXPECT_GT(report.allRails.gbps(), report.rails[0].rateTogether.gbps());
  EXPECT_DOUBLE_EQ(report.allRailsCeiling->rate.gbps(), 0.4);
  EXPECT_EQ(report.bytesChecked, 2 * report.rails[0].bytesChecked);
  EXPECT_TRUE(outcome.listener->verified);
  // What came back was compared at the connecting end.
  EXPECT_EQ(outcome.listener->bytesChecked, report.bytesChecked - 2U * 4096 * 4);
  EXPECT_EQ(fabric_.liveObjects(), 0U);
}

TEST_F(VerbsSessionTest, TheJsonHoldsWhatItsPageSays) {
  targets_.lineRates = {BitRate{200e6}};
  const Outcome outcome = run();
  ASSERT_TRUE(outcome.connector.has_value()) << outcome.connector.error().describe();
  const auto json = nlohmann::json::parse(toJson(*outcome.connector));
  EXPECT_EQ(json.at("schema"), "railhead.bench.verbs/1");
  EXPECT_EQ(json.at("role"), "connect");
  EXPECT_EQ(json.at("verified"), true);
  EXPECT_EQ(json.at("bytes_checked"), 2 * (4 * 4096 * 4 + 2 * (8 * 8 + 4096)));
  const auto& rail = json.at("rails").at(1);
  EXPECT_EQ(rail.at("rail"), 1);
  EXPECT_EQ(rail.at("device"), "a1");
  EXPECT_EQ(rail.at("address"), "10.100.1.1");
  EXPECT_EQ(rail.at("peer_address"), "10.100.1.2");
  EXPECT_EQ(rail.at("gid"), "0000:0000:0000:0000:0000:ffff:0a64:0101");
  EXPECT_NEAR(rail.at("ceiling").at("gbps").get<double>(), 0.2 * 1024 / 1106, 1e-6);
  EXPECT_NEAR(rail.at("share").get<double>(),
              rail.at("gbps").get<double>() / rail.at("ceiling").at("gbps").get<double>(), 1e-9);
  EXPECT_GT(json.at("all_rails").at("gbps").get<double>(), 0);
  EXPECT_GT(json.at("latency").at("p99_us").get<double>(), 0);
  EXPECT_GE(json.at("latency").at("p99_us").get<double>(),
            json.at("latency").at("median_us").get<double>());
  EXPECT_EQ(json.at("steps").size(), 10U);
  const auto listener = nlohmann::json::parse(toJson(*outcome.listener));
  EXPECT_EQ(listener.at("role"), "listen");
  EXPECT_EQ(listener.at("rails").at(0).at("device"), "b0");
  EXPECT_FALSE(listener.contains("latency"));
}

TEST_F(VerbsSessionTest, SeveralQueuePairsOnOneRail) {
  oneRail();
  targets_.plan.pairsPerRail = 3;
  const Outcome outcome = run();
  ASSERT_TRUE(outcome.connector.has_value()) << outcome.connector.error().describe();
  EXPECT_EQ(outcome.connector->rails[0].own.pairs.size(), 3U);
  EXPECT_DOUBLE_EQ(outcome.connector->allRails.gbps(), outcome.connector->rails[0].rate.gbps());
}

TEST_F(VerbsSessionTest, RailsArePairedBySubnetWhateverTheirOrder) {
  b_ = FakeVerbs(fabric_, {simpleDevice("b0", "10.100.1.2", "net1"),
                           simpleDevice("b1", "10.100.0.2", "net2")});
  const Outcome outcome = run();
  ASSERT_TRUE(outcome.connector.has_value()) << outcome.connector.error().describe();
  EXPECT_EQ(outcome.connector->rails[0].peer.device, "b1");
  EXPECT_EQ(outcome.connector->rails[1].peer.device, "b0");
}

TEST_F(VerbsSessionTest, AByteCorruptedOnTheWayOutIsFoundWithItsOffset) {
  // Write 2 of the outgoing check carries bytes 8192..12287 of the buffer.
  fabric_.corruptByte("a0", 2, 100);
  const Outcome outcome = run();
  ASSERT_TRUE(outcome.connector.has_value()) << outcome.connector.error().describe();
  ASSERT_TRUE(outcome.connector->failure.has_value());
  EXPECT_EQ(outcome.connector->failure->code, ErrorCode::kCheckFailed);
  EXPECT_THAT(outcome.connector->failure->message, HasSubstr("rail 0"));
  EXPECT_THAT(outcome.connector->failure->message, HasSubstr("byte 8292 is"));
  EXPECT_THAT(outcome.connector->failure->message, HasSubstr("1 of 16384 bytes"));
  EXPECT_FALSE(outcome.connector->verified);
  EXPECT_EQ(outcome.connector->bytesWrong, 1U);
  EXPECT_EQ(outcome.connector->rails[0].bytesWrong, 1U);
  EXPECT_EQ(outcome.connector->bytesChecked, 16384U);
  ASSERT_TRUE(outcome.listener.has_value()) << outcome.listener.error().describe();
  ASSERT_TRUE(outcome.listener->failure.has_value());
  EXPECT_FALSE(outcome.listener->verified);
  EXPECT_EQ(outcome.listener->bytesWrong, 1U);
  EXPECT_EQ(outcome.listener->failure->code, ErrorCode::kCheckFailed);
  EXPECT_THAT(outcome.listener->failure->message, HasSubstr("byte 8292 is"));
  EXPECT_EQ(fabric_.liveObjects(), 0U);
}

TEST_F(VerbsSessionTest, AByteCorruptedOnTheWayBackIsFoundAndBothEndsFail) {
  fabric_.corruptByte("b1", 0, 7);
  const Outcome outcome = run();
  ASSERT_TRUE(outcome.connector.has_value()) << outcome.connector.error().describe();
  ASSERT_TRUE(outcome.connector->failure.has_value());
  EXPECT_THAT(outcome.connector->failure->message, HasSubstr("rail 1"));
  EXPECT_THAT(outcome.connector->failure->message, HasSubstr("byte 7 is"));
  ASSERT_FALSE(outcome.listener.has_value());
  EXPECT_EQ(outcome.listener.error().code, ErrorCode::kCheckFailed);
  EXPECT_THAT(outcome.listener.error().message, HasSubstr("byte 7 is"));
}

TEST_F(VerbsSessionTest, AWriteThatNeverArrivedIsFound) {
  fabric_.dropWrite("a0", 1);
  const Outcome outcome = run();
  ASSERT_TRUE(outcome.connector.has_value()) << outcome.connector.error().describe();
  ASSERT_TRUE(outcome.connector->failure.has_value());
  EXPECT_THAT(outcome.connector->failure->message, HasSubstr("byte 4096 is"));
  EXPECT_THAT(outcome.connector->failure->message, HasSubstr("4096 of 16384 bytes"));
  EXPECT_EQ(outcome.connector->bytesWrong, 4096U);
}

TEST_F(VerbsSessionTest, TheBandwidthBuffersAreVerifiedToo) {
  // Before the second message of the bandwidth phase come 4 writes and a fence of the check, and
  // 21 latency words, of which the first is not a sample.
  targets_.plan.latencySamples = 20;
  targets_.plan.seconds = 0.01;
  fabric_.setRate("a0", {4e6});  // 8 ms a message: the time ends before any slot comes twice
  fabric_.corruptByte("a0", 4 + 1 + 21 + 1, 50);
  const Outcome outcome = run();
  ASSERT_TRUE(outcome.connector.has_value()) << outcome.connector.error().describe();
  ASSERT_TRUE(outcome.connector->failure.has_value());
  EXPECT_EQ(outcome.connector->failure->code, ErrorCode::kCheckFailed);
  EXPECT_THAT(outcome.connector->failure->message, HasSubstr("1 of 16384 bytes"));
  EXPECT_THAT(outcome.connector->failure->message, HasSubstr("byte 4146 is"));
}

TEST_F(VerbsSessionTest, EachRailHasTheCeilingOfItsOwnLine) {
  targets_.lineRates = {BitRate{200e6}, BitRate{100e6}};
  const Outcome outcome = run();
  ASSERT_TRUE(outcome.connector.has_value()) << outcome.connector.error().describe();
  const auto& rails = outcome.connector->rails;
  EXPECT_DOUBLE_EQ(rails[0].ceiling->rate.gbps(), 2 * rails[1].ceiling->rate.gbps());
  targets_.lineRates.push_back(BitRate{1e6});
  const auto refused = runVerbs(session(a_), endpoint_, targets_);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(refused.error().message, HasSubstr("3 line rates are given for 2 rails"));
}

TEST_F(VerbsSessionTest, ARailThatDoesNotCarryIsNamed) {
  fabric_.failWrite("a1", 1, CompletionStatus::kRetryExceeded);
  const Outcome outcome = run();
  ASSERT_FALSE(outcome.connector.has_value());
  EXPECT_EQ(outcome.connector.error().code, ErrorCode::kCheckFailed);
  EXPECT_THAT(outcome.connector.error().message, HasSubstr("rail 1 (a1 to 10.100.1.2)"));
  EXPECT_THAT(outcome.connector.error().message, HasSubstr("no acknowledgement from the peer"));
  ASSERT_FALSE(outcome.listener.has_value());
  EXPECT_EQ(outcome.listener.error().code, ErrorCode::kCheckFailed);
}

TEST_F(VerbsSessionTest, RailCountsThatDifferAreRefusedOnBothEnds) {
  b_ = FakeVerbs(fabric_, {simpleDevice("b0", "10.100.0.2", "net1")});
  const Outcome outcome = run();
  for (const auto* result : {&outcome.connector, &outcome.listener}) {
    ASSERT_FALSE(result->has_value());
    EXPECT_EQ(result->error().code, ErrorCode::kCheckFailed);
    EXPECT_THAT(result->error().message, HasSubstr("1 rails (b0)"));
    EXPECT_THAT(result->error().message, HasSubstr("2 (a0, a1)"));
    EXPECT_FALSE(result->error().remedy.empty());
  }
}

TEST_F(VerbsSessionTest, TooLittleLockedMemoryIsNamedOnBothEnds) {
  fabric_.setMemoryLimit(1024);
  auto listening = std::async(std::launch::async, [this] {
    VerbsSession waiting = session(b_);
    waiting.meetBy = within(300ms);
    return serveVerbs(waiting, listener_.get());
  });
  const auto connector = runVerbs(session(a_), endpoint_, targets_);
  ASSERT_FALSE(connector.has_value());
  EXPECT_EQ(connector.error().code, ErrorCode::kEnvironment);
  EXPECT_THAT(connector.error().remedy, HasSubstr("locked-memory limit"));
  EXPECT_FALSE(listening.get().has_value());
}

// A connector that greets properly and then leaves.
TEST_F(VerbsSessionTest, APeerThatDiesEndsTheListenerInTime) {
  auto listening =
      std::async(std::launch::async, [this] { return serveVerbs(session(b_), listener_.get()); });
  { Channel channel = meetAsConnector(endpoint_, {kVerbsPurpose, "t"}, within(5s)).value(); }
  const auto start = std::chrono::steady_clock::now();
  const auto result = listening.get();
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, ErrorCode::kCheckFailed);
  EXPECT_THAT(result.error().message, HasSubstr("closed the connection"));
  EXPECT_LT(std::chrono::steady_clock::now() - start, 5s);
}

// A listener that leaves while the connector's writes stand still.
TEST_F(VerbsSessionTest, APeerThatDiesInMidWriteEndsTheConnectorInTime) {
  fabric_.stallWrite("a0", 1);
  auto impostor = std::async(std::launch::async, [&] {
    auto channel = meetAsListener(listener_.get(), {kVerbsPurpose, "t"}, within(5s)).value();
    const Hello hello = decodeHello(channel.receive(within(5s)).value()).value();
    Welcome welcome;
    welcome.rails = hello.rails;
    EXPECT_TRUE(channel.send(encode(welcome), within(5s)).has_value());
    EXPECT_TRUE(decodeCommand(channel.receive(within(5s)).value()).has_value());
    EXPECT_TRUE(channel.send(encode(Reply{}), within(5s)).has_value());
  });
  const auto start = std::chrono::steady_clock::now();
  const auto result = runVerbs(session(a_), endpoint_, targets_);
  impostor.get();
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, ErrorCode::kCheckFailed);
  EXPECT_LT(std::chrono::steady_clock::now() - start, 5s);
}

TEST_F(VerbsSessionTest, GarbageAfterTheWelcomeEndsTheListener) {
  for (const std::string& garbage :
       std::vector<std::string>{std::string("{}"), std::string(100000, 'x')}) {
    auto listening =
        std::async(std::launch::async, [this] { return serveVerbs(session(b_), listener_.get()); });
    Channel channel = meetAsConnector(endpoint_, {kVerbsPurpose, "t"}, within(5s)).value();
    ASSERT_TRUE(channel.send(garbage, within(5s)).has_value());
    const auto result = listening.get();
    ASSERT_FALSE(result.has_value());
    EXPECT_THAT(result.error().message, HasSubstr("the peer"));
    EXPECT_LT(result.error().message.size(), 400U);
  }
}

TEST_F(VerbsSessionTest, APlanOutOfBoundsIsRefusedBeforeAnyTraffic) {
  targets_.plan.messageBytes = 4;
  const auto result = runVerbs(session(a_), endpoint_, targets_);
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(result.error().message, HasSubstr("--size 4 B: allowed is 8 B to "));
}

TEST(CeilingOf, ExplicitBeatsComputedAndSoftPortsAreNotBelieved) {
  verbs::DeviceInfo device;
  device.portRate = {200e9};
  DeviceEnvironment environment;
  environment.pcie = pcieCeiling(4, 32).value();
  EXPECT_NEAR(ceilingOf(device, environment, 4096, {}, 0)->rate.gbps(), 126.03, 0.01);
  environment.pcie.reset();
  EXPECT_NEAR(ceilingOf(device, environment, 4096, {}, 0)->rate.gbps(), 196.07, 0.01);
  device.software = true;
  EXPECT_FALSE(ceilingOf(device, environment, 4096, {}, 0).has_value());
  VerbsTargets targets;
  targets.lineRates = {BitRate{40e6}};
  EXPECT_NEAR(ceilingOf(device, environment, 1024, targets, 0)->rate.gbps(), 0.03703, 1e-4);
  targets.ceiling = BitRate{50e6};
  EXPECT_DOUBLE_EQ(ceilingOf(device, environment, 1024, targets, 0)->rate.gbps(), 0.05);
}

}  // namespace
}  // namespace railhead::bench
