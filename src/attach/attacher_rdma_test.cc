// RDMA devices: soft, shared, exclusive, and the GID that must be there.
#include "src/attach/attacher.h"
#include "tests/support/attach_faults.h"

#include <algorithm>
#include <cerrno>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::attach {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class SoftRdmaTest : public AttachFixture {};

TEST_F(SoftRdmaTest, WaitsForTheGidAndGivesUpInTime) {
  start();
  const std::string before = kernel_.snapshot();
  kernel_.withholdGids(true);
  const auto begin = clock_.now();
  const auto result = attacher_->add(request(CniCommand::kAdd));
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, ErrorCode::kDeadlineExceeded);
  EXPECT_THAT(result.error().message,
              HasSubstr("RDMA device rxe_0000_01_10_0 got no RoCE v2 GID for 10.100.0.5/24"));
  EXPECT_GE(clock_.now() - begin, config_.gidWait);
  EXPECT_EQ(kernel_.snapshot(), before);
  kernel_.withholdGids(false);
  EXPECT_TRUE(attacher_->add(request(CniCommand::kAdd)).has_value());
}

// Whichever thread is faster: a link that comes up first would hold the device up.
TEST_F(SoftRdmaTest, ADeviceBeginsBeforeItsLinkComesUp) {
  start();
  for (int round = 0; round < 5; ++round) {
    kernel_.revive();
    ASSERT_TRUE(attacher_->add(request(CniCommand::kAdd)).has_value());
    const auto log = kernel_.log();
    const auto at = [&](const std::string& what) {
      return std::find_if(log.begin(), log.end(),
                          [&](const std::string& line) { return line.ends_with(what); });
    };
    for (const char* name : {"net1", "net2"}) {
      ASSERT_NE(at(std::string("set up link ") + name), log.end());
      EXPECT_LT(at(std::string(" on ") + name), at(std::string("set up link ") + name));
    }
    ASSERT_TRUE(attacher_->del(request(CniCommand::kDel)).has_value());
  }
}

TEST_F(SoftRdmaTest, WithoutTheRdmaModuleTheRemedyIsNamed) {
  kernel_.disableRdma();
  start();
  const std::string before = kernel_.snapshot();
  const auto result = attacher_->add(request(CniCommand::kAdd));
  EXPECT_THAT(result.error().remedy, HasSubstr("ib_core"));
  EXPECT_EQ(kernel_.snapshot(), before);
}

TEST_F(SoftRdmaTest, WithoutRdmaTheNetdevsAreEnough) {
  kernel_.disableRdma();
  network_.rdma = RdmaUse::kNone;
  start();
  EXPECT_TRUE(attacher_->add(request(CniCommand::kAdd)).has_value());
  EXPECT_TRUE(attacher_->del(request(CniCommand::kDel)).has_value());
}

TEST_F(SoftRdmaTest, AVfWithoutItsOwnRdmaDeviceIsNamed) {
  network_.rdma = RdmaUse::kDevice;
  start();
  const auto result = attacher_->add(request(CniCommand::kAdd));
  EXPECT_EQ(result.error().code, ErrorCode::kEnvironment);
  EXPECT_THAT(result.error().message, HasSubstr("VF 0000:01:10.0 has no RDMA device"));
  EXPECT_THAT(attacher_->attachments(), IsEmpty());
}

// Who asks a kernel at that time for what it does already may lock it up.
TEST_F(SoftRdmaTest, OfADeadNamespaceIsLeftToTheKernel) {
  start();
  ASSERT_TRUE(attacher_->add(request(CniCommand::kAdd)).has_value());
  kernel_.holdRemovals(true);
  kernel_.killNetns("trainer-0");
  bool late = false;
  clock_.atSleep(3, [&] {
    late = true;
    kernel_.holdRemovals(false);
  });
  const auto report = attacher_->sweep();
  EXPECT_THAT(report.failed, IsEmpty());
  EXPECT_THAT(report.done, SizeIs(1));
  EXPECT_TRUE(late);
  EXPECT_THAT(kernel_.rdmaDevices(), IsEmpty());
  EXPECT_TRUE(kernel_.link(vfName(0, 0)).has_value());
}

// As Linux 7.3 does: the device is made on the host, where the pod would not see it.
TEST_F(SoftRdmaTest, ReachesThePodWhenExclusive) {
  kernel_.setRdmaMode(netlink::RdmaNetnsMode::kExclusive);
  start();
  const std::string before = kernel_.snapshot();
  ASSERT_TRUE(attacher_->add(request(CniCommand::kAdd)).has_value());
  ASSERT_THAT(kernel_.rdmaDevices(), SizeIs(2));
  for (const auto& device : kernel_.rdmaDevices()) EXPECT_NE(device.netns, 1) << device.name;
  EXPECT_TRUE(attacher_->check(request(CniCommand::kCheck)).has_value());
  ASSERT_TRUE(attacher_->del(request(CniCommand::kDel)).has_value());
  EXPECT_EQ(kernel_.snapshot(), before);
}

class HardwareRdmaTest : public AttachFixture {
 protected:
  HardwareRdmaTest() { hardwareRdma_ = true; }

  // How many RDMA devices are not the host's.
  int away() const {
    int count = 0;
    for (const auto& device : kernel_.rdmaDevices()) count += device.netns != 1 ? 1 : 0;
    return count;
  }
};

TEST_F(HardwareRdmaTest, StaysWhereItIsWhenShared) {
  start();
  const std::string before = kernel_.snapshot();
  ASSERT_TRUE(attacher_->add(request(CniCommand::kAdd)).has_value());
  EXPECT_EQ(away(), 0);
  EXPECT_THAT(kernel_.rdmaDevices(), SizeIs(10));
  ASSERT_TRUE(attacher_->del(request(CniCommand::kDel)).has_value());
  EXPECT_EQ(kernel_.snapshot(), before);
}

TEST_F(HardwareRdmaTest, MovesWithTheVfWhenExclusive) {
  kernel_.setRdmaMode(netlink::RdmaNetnsMode::kExclusive);
  start();
  const std::string before = kernel_.snapshot();
  ASSERT_TRUE(attacher_->add(request(CniCommand::kAdd)).has_value());
  EXPECT_EQ(away(), 2);
  EXPECT_TRUE(attacher_->check(request(CniCommand::kCheck)).has_value());
  ASSERT_TRUE(attacher_->del(request(CniCommand::kDel)).has_value());
  EXPECT_EQ(kernel_.snapshot(), before);
}

// The move makes the GID table anew: NCCL that starts before it is there takes sockets.
TEST_F(HardwareRdmaTest, WaitsForTheGidInThePodWhenExclusive) {
  kernel_.setRdmaMode(netlink::RdmaNetnsMode::kExclusive);
  start();
  const std::string before = kernel_.snapshot();
  kernel_.withholdGids(true);
  const auto begin = clock_.now();
  const auto none = attacher_->add(request(CniCommand::kAdd));
  ASSERT_FALSE(none.has_value());
  EXPECT_EQ(none.error().code, ErrorCode::kDeadlineExceeded);
  EXPECT_THAT(none.error().message, HasSubstr("got no RoCE v2 GID for 10.100.0.5/24"));
  EXPECT_GE(clock_.now() - begin, config_.gidWait);
  EXPECT_EQ(kernel_.snapshot(), before);

  bool late = false;
  clock_.atSleep(4, [&] {
    late = true;
    kernel_.withholdGids(false);
  });
  EXPECT_TRUE(attacher_->add(request(CniCommand::kAdd)).has_value());
  EXPECT_TRUE(late);
}

// Soft and hardware devices take other ways into the pod.
class ExclusiveRdmaTest : public AttachFaults, public testing::WithParamInterface<bool> {
 protected:
  ExclusiveRdmaTest() { hardwareRdma_ = GetParam(); }
};
INSTANTIATE_TEST_SUITE_P(, ExclusiveRdmaTest, testing::Bool(),
                         [](const auto& hardware) { return hardware.param ? "Hardware" : "Soft"; });

TEST_P(ExclusiveRdmaTest, CallsFailingOrKilledAtAnyStepLeaveNothingBehind) {
  kernel_.setRdmaMode(netlink::RdmaNetnsMode::kExclusive);
  start();
  const auto add = request(CniCommand::kAdd);
  const int changes = failEveryStepOfAdd(add, EIO);
  EXPECT_GT(changes, 10);
  ASSERT_TRUE(attacher_->del(request(CniCommand::kDel)).has_value());
  EXPECT_GT(failEveryStepOfDel(add, EIO), 5);
  EXPECT_EQ(killAtEveryStepOfAdd(add), changes);
  ASSERT_TRUE(attacher_->del(request(CniCommand::kDel)).has_value());
  EXPECT_GT(killAtEveryStepOfDel(add), 5);
}

}  // namespace
}  // namespace railhead::attach
