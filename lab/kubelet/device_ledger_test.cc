#include "lab/kubelet/device_ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::lab {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

const PodName kA{"default", "a"};
const PodName kB{"default", "b"};

TEST(DeviceLedger, OffersHealthyDevicesThatNobodyHolds) {
  DeviceLedger ledger;
  ledger.setDevices("r/x", {{"1", true, {}}, {"2", false, {}}, {"3", true, {}}, {"4", true, {}}});
  ledger.hold(kA, "r/x", {"3"});
  const auto free = ledger.available(kB, "r/x", 2);
  ASSERT_TRUE(free.has_value());
  EXPECT_THAT(*free, ElementsAre("1", "4"));
  const auto status = ledger.status().at("r/x");
  EXPECT_EQ(status.capacity, 4U);
  EXPECT_EQ(status.allocatable, 3U);
  EXPECT_EQ(status.free, 2U);
  EXPECT_EQ(status.holders.at("3"), "default/a");
  ledger.release(kA);
  EXPECT_EQ(ledger.status().at("r/x").free, 3U);
}

TEST(DeviceLedger, SaysWhatIsShort) {
  DeviceLedger ledger;
  ledger.setDevices("r/x", {{"1", true, {}}, {"2", true, {}}});
  ledger.hold(kA, "r/x", {"1", "2"});
  const auto none = ledger.available(kB, "r/x", 1);
  ASSERT_FALSE(none.has_value());
  EXPECT_EQ(none.error().code, ErrorCode::kExhausted);
  EXPECT_THAT(none.error().message,
              AllOf(HasSubstr("pod default/b waits"), HasSubstr("1 r/x asked"),
                    HasSubstr("0 of 2 healthy ones are free")));
  const auto unknown = ledger.available(kB, "r/y", 1);
  ASSERT_FALSE(unknown.has_value());
  EXPECT_THAT(unknown.error().message, HasSubstr("no device plugin offers r/y"));
}

TEST(DeviceLedger, ChoosesThePreferredThatAreReallyFree) {
  const std::vector<std::string> available = {"1", "2", "3"};
  EXPECT_THAT(DeviceLedger::choose(available, {"3", "9", "3"}, 2), ElementsAre("3", "1"));
  EXPECT_THAT(DeviceLedger::choose(available, {}, 2), ElementsAre("1", "2"));
  EXPECT_THAT(DeviceLedger::choose(available, {"3", "2", "1"}, 1), ElementsAre("3"));
}

TEST(DeviceLedger, HoldersOutliveARestartAndALostPlugin) {
  DeviceLedger ledger;
  ledger.setDevices("r/x", {{"1", true, {}}, {"2", true, {}}});
  ledger.hold(kA, "r/x", {"1"});
  ledger.markUnhealthy("r/x");
  EXPECT_EQ(ledger.status().at("r/x").capacity, 2U);
  EXPECT_EQ(ledger.status().at("r/x").allocatable, 0U);
  ledger.forgetDevices();
  EXPECT_EQ(ledger.status().at("r/x").capacity, 0U);
  ledger.setDevices("r/x", {{"1", true, {}}, {"2", true, {}}});
  EXPECT_THAT(*ledger.available(kB, "r/x", 1), ElementsAre("2"));
}

}  // namespace
}  // namespace railhead::lab
