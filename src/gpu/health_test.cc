#include "src/gpu/health.h"

#include <chrono>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::gpu {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr auto kStart = GpuHealth::TimePoint(1h);

GpuEvent xid(std::uint64_t number, const std::string& gpu = "GPU-a") {
  return {gpu, GpuEventKind::kXid, number, {}, {}};
}
GpuCondition clean() {
  GpuCondition condition;
  condition.verdict = true;
  return condition;
}
GpuCondition cleanWithoutVerdict() { return {}; }
GpuCondition faulty(const std::string& why) {
  GpuCondition condition;
  condition.fault = why;
  return condition;
}
GpuCondition pending(const std::string& what) {
  auto condition = clean();
  condition.pending = what;
  return condition;
}

class GpuHealthTest : public testing::Test {
 protected:
  GpuHealthTest() { health.setPresent({{"GPU-a", {}}, {"GPU-b", {}}}); }
  GpuHealth health{HealthPolicy{}};
};

TEST_F(GpuHealthTest, AGpuIsHealthyUntilSomethingIsKnownAgainstIt) {
  EXPECT_THAT(health.takeChanges(), IsEmpty());
  EXPECT_FALSE(health.anyUnhealthy());
}

TEST_F(GpuHealthTest, AnXidMakesItsOwnGpuUnhealthyAndIsToldOnce) {
  health.onEvent(xid(79), kStart);
  EXPECT_THAT(health.takeChanges(), ElementsAre(HealthChange{"GPU-a", "Xid 79"}));
  EXPECT_THAT(health.takeChanges(), IsEmpty());
  EXPECT_TRUE(health.anyUnhealthy());
  EXPECT_FALSE(health.allGpusUnhealthy());
  health.onEvent(xid(48, "GPU-b"), kStart);
  EXPECT_TRUE(health.allGpusUnhealthy());
}

TEST_F(GpuHealthTest, ApplicationErrorsDoNot) {
  for (const std::uint64_t number : {13, 31, 43, 45, 68, 109}) health.onEvent(xid(number), kStart);
  EXPECT_THAT(health.takeChanges(), IsEmpty());
}

TEST_F(GpuHealthTest, ThePolicySaysWhichXidsAreApplicationErrors) {
  HealthPolicy policy;
  policy.applicationXids = {79};
  GpuHealth other(policy);
  other.setPresent({{"GPU-a", {}}});
  other.onEvent(xid(79), kStart);
  EXPECT_THAT(other.takeChanges(), IsEmpty());
  other.onEvent(xid(13), kStart);
  EXPECT_THAT(other.takeChanges(), ElementsAre(HealthChange{"GPU-a", "Xid 13"}));
}

TEST_F(GpuHealthTest, ComesBackWhenTheDriverSaysAllIsWellAndItStaysQuiet) {
  health.onEvent(xid(95), kStart);
  health.onCondition("GPU-a", clean(), kStart + 9s);
  EXPECT_TRUE(health.anyUnhealthy());
  health.onCondition("GPU-a", clean(), kStart + 10s);
  EXPECT_FALSE(health.anyUnhealthy());
}

TEST_F(GpuHealthTest, AnotherXidStartsTheQuietTimeAnew) {
  health.onEvent(xid(95), kStart);
  health.onEvent(xid(95), kStart + 8s);
  health.onCondition("GPU-a", clean(), kStart + 12s);
  EXPECT_TRUE(health.anyUnhealthy());
  health.onCondition("GPU-a", clean(), kStart + 18s);
  EXPECT_FALSE(health.anyUnhealthy());
}

TEST_F(GpuHealthTest, WithoutTheDriversVerdictItTakesFiveMinutes) {
  health.onEvent(xid(62), kStart);
  health.onCondition("GPU-a", cleanWithoutVerdict(), kStart + 299s);
  EXPECT_TRUE(health.anyUnhealthy());
  health.onCondition("GPU-a", cleanWithoutVerdict(), kStart + 300s);
  EXPECT_FALSE(health.anyUnhealthy());
}

TEST_F(GpuHealthTest, ASeenRepairIsAsGoodAsAVerdict) {
  health.onEvent(xid(79), kStart);
  health.onCondition("GPU-a", faulty("lost"), kStart + 1s);
  health.takeChanges();
  health.onCondition("GPU-a", cleanWithoutVerdict(), kStart + 12s);
  EXPECT_THAT(health.takeChanges(), ElementsAre(HealthChange{"GPU-a", ""}));
}

TEST_F(GpuHealthTest, AFaultAloneIsEnoughAndItsEndEndsIt) {
  health.onCondition("GPU-b", faulty("the GPU must be reset"), kStart);
  EXPECT_THAT(health.takeChanges(), ElementsAre(HealthChange{"GPU-b", "the GPU must be reset"}));
  health.onCondition("GPU-b", clean(), kStart + 1s);
  EXPECT_THAT(health.takeChanges(), ElementsAre(HealthChange{"GPU-b", ""}));
}

TEST_F(GpuHealthTest, APendingRepairHoldsAMarkButMakesNone) {
  health.onCondition("GPU-a", pending("waits for a reset"), kStart);
  EXPECT_FALSE(health.anyUnhealthy());
  health.onEvent(xid(63), kStart);
  health.onCondition("GPU-a", pending("waits for a reset"), kStart + 60s);
  EXPECT_THAT(health.takeChanges(),
              ElementsAre(HealthChange{"GPU-a", "Xid 63; waits for a reset"}));
  health.onCondition("GPU-a", clean(), kStart + 69s);
  EXPECT_TRUE(health.anyUnhealthy());  // 9 s after the repair
  health.onCondition("GPU-a", clean(), kStart + 70s);
  EXPECT_FALSE(health.anyUnhealthy());
}

TEST_F(GpuHealthTest, AFailedRemappingIsAFaultUnlessThePolicySaysNo) {
  auto condition = clean();
  condition.remapFailed = true;
  health.onCondition("GPU-a", condition, kStart);
  const auto changes = health.takeChanges();
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_THAT(changes[0].reason, HasSubstr("row remapping failed"));
  HealthPolicy policy;
  policy.remapFailureIsFault = false;
  GpuHealth lenient(policy);
  lenient.setPresent({{"GPU-a", {}}});
  lenient.onCondition("GPU-a", condition, kStart);
  EXPECT_FALSE(lenient.anyUnhealthy());
}

TEST_F(GpuHealthTest, AVanishedGpuIsUnhealthyUntilItIsFoundAgain) {
  health.setPresent({{"GPU-b", {}}});
  EXPECT_THAT(health.takeChanges(),
              ElementsAre(HealthChange{"GPU-a", "the driver no longer has this GPU"}));
  EXPECT_TRUE(health.anyAbsent());
  health.setPresent({{"GPU-a", {}}, {"GPU-b", {}}});
  EXPECT_THAT(health.takeChanges(), ElementsAre(HealthChange{"GPU-a", ""}));
}

TEST_F(GpuHealthTest, AnXidBeforeItVanishedNeedsItsQuietTimeButTheReturnProvesTheRepair) {
  health.onEvent(xid(79), kStart);
  health.setPresent({{"GPU-b", {}}});
  health.setPresent({{"GPU-a", {}}, {"GPU-b", {}}});
  EXPECT_TRUE(health.anyUnhealthy());
  health.onCondition("GPU-a", cleanWithoutVerdict(), kStart + 10s);
  EXPECT_FALSE(health.anyUnhealthy());
}

TEST_F(GpuHealthTest, EventsOfUnknownGpusAreIgnored) {
  health.onEvent(xid(79, "GPU-z"), kStart);
  health.onCondition("GPU-z", faulty("lost"), kStart);
  EXPECT_THAT(health.takeChanges(), IsEmpty());
}

class MigHealthTest : public testing::Test {
 protected:
  MigHealthTest() { health.setPresent({{"GPU-a", {{"MIG-1", 1, 0}, {"MIG-2", 2, 0}}}}); }
  GpuEvent ofInstance(unsigned gi, std::optional<unsigned> ci) {
    return {"GPU-a", GpuEventKind::kXid, 94, gi, ci};
  }
  GpuHealth health{HealthPolicy{}};
};

TEST_F(MigHealthTest, AnEventOfAnInstanceConcernsItsDeviceAlone) {
  health.onEvent(ofInstance(2, 0), kStart);
  EXPECT_THAT(health.takeChanges(), ElementsAre(HealthChange{"MIG-2", "Xid 94"}));
  EXPECT_FALSE(health.allGpusUnhealthy());
  health.onCondition("GPU-a", clean(), kStart + 10s);
  EXPECT_THAT(health.takeChanges(), ElementsAre(HealthChange{"MIG-2", ""}));
}

TEST_F(MigHealthTest, WithoutAComputeInstanceItConcernsTheWholeGpuInstance) {
  health.onEvent(ofInstance(1, {}), kStart);
  EXPECT_THAT(health.takeChanges(), ElementsAre(HealthChange{"MIG-1", "Xid 94"}));
}

TEST_F(MigHealthTest, AnInstanceThatNobodyKnowsMeansTheWholeGpu) {
  health.onEvent(ofInstance(7, 0), kStart);
  EXPECT_EQ(health.takeChanges().size(), 3U);
}

TEST_F(MigHealthTest, AFaultOfTheGpuIsOneOfAllItsDevices) {
  health.onCondition("GPU-a", faulty("lost"), kStart);
  EXPECT_THAT(health.takeChanges(),
              ElementsAre(HealthChange{"GPU-a", "lost"}, HealthChange{"MIG-1", "lost"},
                          HealthChange{"MIG-2", "lost"}));
}

TEST_F(MigHealthTest, ADeviceTakenApartIsForgotten) {
  health.onEvent(ofInstance(2, 0), kStart);
  health.takeChanges();
  health.setPresent({{"GPU-a", {{"MIG-1", 1, 0}}}});
  EXPECT_THAT(health.takeChanges(), ElementsAre(HealthChange{"MIG-2", ""}))
      << "made again it is another, under the same UUID";
  EXPECT_FALSE(health.anyUnhealthy());
  health.setPresent({{"GPU-a", {{"MIG-1", 1, 0}, {"MIG-2", 2, 0}}}});
  EXPECT_THAT(health.takeChanges(), IsEmpty());
}

}  // namespace
}  // namespace railhead::gpu
