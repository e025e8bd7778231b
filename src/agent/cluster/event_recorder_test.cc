#include "src/agent/cluster/event_recorder.h"

#include "src/agent/cluster/health_news.h"
#include "src/agent/cluster/timestamp.h"
#include "tests/support/api_fixture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::agent {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using testing_support::ApiFault;

constexpr const char* kRoot = "/apis/events.k8s.io/v1";
const std::string kDefault = std::string(kRoot) + "/namespaces/default/events";
constexpr EventLimits kQuick{
    .burst = 5, .pauses = {std::chrono::milliseconds(1), std::chrono::milliseconds(1)}};

class EventRecorderTest : public testing_support::ApiFixture {
 protected:
  void SetUp() override {
    ApiFixture::SetUp();
    server->addKind(kRoot, "events");
    recorder = std::move(*EventRecorder::start(*api, clock, log, "node-a", kQuick));
  }
  void TearDown() override { recorder.reset(); }
  static ClusterEvent about(const std::string& note) {
    return {nodeSubject("node-a"), true, "DeviceUnhealthy", "Advertise", note};
  }
  bool waitForEvents(std::size_t count) {
    return waitUntil([&] { return server->names(kDefault).size() == count; });
  }
  // The only one.
  std::string event() {
    const auto names = server->names(kDefault);
    return names.size() == 1 ? server->object(kDefault + "/" + names[0]).value_or("") : "";
  }

  std::unique_ptr<EventRecorder> recorder;
};

TEST_F(EventRecorderTest, WritesWhatKubectlShows) {
  recorder->record(about("no carrier"));
  ASSERT_TRUE(waitForEvents(1));
  EXPECT_THAT(event(), AllOf(HasSubstr(R"("note":"no carrier")"), HasSubstr(R"("type":"Warning")"),
                             HasSubstr(R"("kind":"Node")"), HasSubstr(R"("uid":"node-a")"),
                             HasSubstr(R"("reportingInstance":"node-a")"),
                             HasSubstr(R"("action":"Advertise")"),
                             HasSubstr(R"("eventTime":"2025-11-24T16:00:00.000000Z")")));
  recorder->record({{"Pod", "train", "web-0", "u1"}, true, "AttachFailed", "Attach", "busy"});
  ASSERT_TRUE(waitUntil([&] {
    return server->names(std::string(kRoot) + "/namespaces/train/events").size() == 1;
  })) << "a pod's stands in its namespace";
}

TEST_F(EventRecorderTest, CountsEqualOnesUp) {
  recorder->record(about("no carrier"));
  ASSERT_TRUE(waitForEvents(1));
  recorder->record(about("no carrier"));
  ASSERT_TRUE(waitUntil([&] { return event().find(R"("count":2)") != std::string::npos; }));
  clock.advance(std::chrono::seconds(601));
  recorder->record(about("no carrier"));
  EXPECT_TRUE(waitForEvents(2)) << "later it is a new one";
}

TEST_F(EventRecorderTest, WritesOnlySoMany) {
  for (int i = 0; i < 100; ++i) recorder->record(about("note " + std::to_string(i)));
  ASSERT_TRUE(waitForEvents(5));
  EXPECT_EQ(recorder->leftOut(), 95U);
  clock.advance(std::chrono::seconds(10));
  for (int i = 100; i < 200; ++i) recorder->record(about("note " + std::to_string(i)));
  ASSERT_TRUE(waitForEvents(7)) << "one for each 5 s";
  EXPECT_EQ(recorder->leftOut(), 95U + 98U);
  EXPECT_EQ(server->requests("POST", ""), 7);
}

TEST_F(EventRecorderTest, TriesAgainButNotForEver) {
  server->fail({.method = "POST", .times = 2, .status = 503});
  recorder->record(about("a"));
  ASSERT_TRUE(waitForEvents(1));
  server->fail({.method = "POST", .times = 3, .status = 503});
  recorder->record(about("b"));
  ASSERT_TRUE(waitForLog("left out"));
  EXPECT_EQ(recorder->leftOut(), 1U);
  server->fail({.kind = ApiFault::Kind::kNoReply, .method = "POST"});
  recorder->record(about("c"));
  ASSERT_TRUE(waitForEvents(2));
  recorder->record(about("d"));
  ASSERT_TRUE(waitForEvents(3)) << "c once, though its answer was lost";
}

TEST_F(EventRecorderTest, WithoutTheRightIsOffAndSaysSoOnce) {
  server->fail({.method = "POST", .times = -1, .status = 403});
  recorder->record(about("a"));
  ASSERT_TRUE(waitForLog("until the agent starts again"));
  recorder->record(about("b"));
  EXPECT_THAT(log.text(), HasSubstr("grant the verb 'create' on events.events.k8s.io"));
  EXPECT_EQ(server->requests("POST", ""), 1);
}

TEST_F(EventRecorderTest, StopsWhileACallHangs) {
  server->fail({.kind = ApiFault::Kind::kHang, .times = -1});
  recorder->record(about("a"));
  ASSERT_TRUE(server->waitForRequests("POST", "", 1));
  recorder.reset();
  EXPECT_THAT(log.text(), IsEmpty());
}

TEST(HealthNews, TellsWhatBecameDifferent) {
  HealthNews news("node-a");
  EXPECT_THAT(news.compare({{"r", "0", ""}, {"r", "1", "no carrier"}}), SizeIs(1));
  EXPECT_THAT(news.compare({{"r", "0", ""}, {"r", "1", "no carrier"}}), IsEmpty());
  auto told = news.compare({{"r", "0", "VF is gone"}, {"r", "1", ""}});
  ASSERT_THAT(told, SizeIs(2));
  EXPECT_EQ(told[0].note, "r 0 is unhealthy: VF is gone");
  EXPECT_TRUE(told[0].warning);
  EXPECT_EQ(told[1].note, "r 1 is healthy again, it was: no carrier");
  EXPECT_EQ(told[1].reason, "DeviceHealthy");
  EXPECT_THAT(news.compare({}), IsEmpty());
}

TEST(Timestamp, HasMicroseconds) {
  const auto time = std::chrono::system_clock::time_point(std::chrono::microseconds(1'000'001));
  EXPECT_EQ(microTime(time), "1970-01-01T00:00:01.000001Z");
}

}  // namespace
}  // namespace railhead::agent
