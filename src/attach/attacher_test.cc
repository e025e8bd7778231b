#include "src/attach/attacher.h"

#include "tests/support/attach_faults.h"

#include <cerrno>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::attach {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class AttacherTest : public AttachFaults {};

TEST_F(AttacherTest, AddMovesBothRailsWithAddressMtuAndRdma) {
  start();
  const auto result = attacher_->add(request(CniCommand::kAdd));
  ASSERT_TRUE(result.has_value()) << result.error().describe();
  for (int twin = 0; twin < 2; ++twin) {
    const auto link = kernel_.link("net" + std::to_string(twin + 1), "trainer-0");
    ASSERT_TRUE(link.has_value());
    EXPECT_EQ(link->pci, vfAddress(twin, 0));
    EXPECT_EQ(link->mtu, 9000);
    EXPECT_TRUE(link->up);
    // 1 + ordinal 1 x 4 rail sets + index 0
    EXPECT_EQ(link->addresses.at(0).toString(), "10.100." + std::to_string(twin) + ".5/24");
  }
  ASSERT_THAT(kernel_.rdmaDevices(), SizeIs(2));
  EXPECT_EQ(kernel_.rdmaDevices()[0].name, "rxe_0000_01_10_0");
  EXPECT_EQ(*result,
            R"({"cniVersion":"1.1.0","interfaces":[{"name":"eth0","sandbox":"/x"},)"
            R"({"name":"net1","mac":")" +
                kernel_.link("net1", "trainer-0")->mac.toString() +
                R"(","mtu":9000,"sandbox":"/var/run/netns/trainer-0","pciID":"0000:01:10.0"},)"
                R"({"name":"net2","mac":")" +
                kernel_.link("net2", "trainer-0")->mac.toString() +
                R"(","mtu":9000,"sandbox":"/var/run/netns/trainer-0","pciID":"0002:01:10.0"}],)"
                R"("ips":[{"interface":0,"address":"10.1.0.7/16"},)"
                R"({"interface":1,"address":"10.100.0.5/24"},)"
                R"({"interface":2,"address":"10.100.1.5/24"}]})");
  EXPECT_TRUE(attacher_->check(request(CniCommand::kCheck)).has_value());
  EXPECT_THAT(journalFiles(), SizeIs(1));
}

TEST_F(AttacherTest, DelPutsEverythingBack) {
  start();
  const std::string before = kernel_.snapshot();
  ASSERT_TRUE(attacher_->add(request(CniCommand::kAdd)).has_value());
  EXPECT_NE(kernel_.snapshot(), before);
  ASSERT_TRUE(attacher_->del(request(CniCommand::kDel)).has_value());
  EXPECT_EQ(kernel_.snapshot(), before);
  EXPECT_THAT(journalFiles(), IsEmpty());
  kernel_.revive();
  EXPECT_TRUE(attacher_->del(request(CniCommand::kDel)).has_value());  // twice
  EXPECT_EQ(kernel_.operations(), 0);
}

TEST_F(AttacherTest, DelBeforeAnyAddSucceeds) {
  start();
  const int before = kernel_.operations();
  EXPECT_TRUE(attacher_->del(request(CniCommand::kDel)).has_value());
  EXPECT_EQ(kernel_.operations(), before);
}

TEST_F(AttacherTest, DelWithoutNamespacePathRestores) {
  start();
  const std::string before = kernel_.snapshot();
  ASSERT_TRUE(attacher_->add(request(CniCommand::kAdd)).has_value());
  auto del = request(CniCommand::kDel);
  del.netnsPath.clear();
  ASSERT_TRUE(attacher_->del(del).has_value());
  EXPECT_EQ(kernel_.snapshot(), before);
}

TEST_F(AttacherTest, DelAfterTheNamespaceDiedRestoresNameAndMtu) {
  start();
  ASSERT_TRUE(attacher_->add(request(CniCommand::kAdd)).has_value());
  kernel_.killNetns("trainer-0");
  ASSERT_TRUE(kernel_.link("net1").has_value());
  ASSERT_TRUE(attacher_->del(request(CniCommand::kDel)).has_value());
  EXPECT_FALSE(kernel_.link("net1").has_value());
  ASSERT_TRUE(kernel_.link(vfName(0, 0)).has_value());
  EXPECT_EQ(kernel_.link(vfName(0, 0))->mtu, 1500);
  EXPECT_TRUE(kernel_.link(vfName(1, 0)).has_value());
  EXPECT_THAT(kernel_.rdmaDevices(), IsEmpty());
  EXPECT_THAT(journalFiles(), IsEmpty());
}

TEST_F(AttacherTest, SecondAddOfTheSameSandboxGivesTheSameResult) {
  start();
  const auto first = attacher_->add(request(CniCommand::kAdd));
  ASSERT_TRUE(first.has_value());
  kernel_.revive();
  const auto second = attacher_->add(request(CniCommand::kAdd));
  ASSERT_TRUE(second.has_value());
  EXPECT_EQ(*second, *first);
  EXPECT_EQ(kernel_.operations(), 0);
}

TEST_F(AttacherTest, TheSecondPodOnARailSetIsToldWhoHoldsIt) {
  start();
  addPod("trainer-1", 0);
  ASSERT_TRUE(attacher_->add(request(CniCommand::kAdd)).has_value());
  const std::string before = kernel_.snapshot();
  const auto second = attacher_->add(request(CniCommand::kAdd, "trainer-1"));
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code, ErrorCode::kBusy);
  EXPECT_THAT(second.error().message, HasSubstr("pod default/trainer-0"));
  EXPECT_EQ(kernel_.snapshot(), before);
}

TEST_F(AttacherTest, ADeadHolderGivesWay) {
  start();
  addPod("trainer-1", 0);
  ASSERT_TRUE(attacher_->add(request(CniCommand::kAdd)).has_value());
  kernel_.killNetns("trainer-0");
  const auto second = attacher_->add(request(CniCommand::kAdd, "trainer-1"));
  ASSERT_TRUE(second.has_value()) << second.error().describe();
  EXPECT_EQ(kernel_.netnsOf(vfAddress(0, 0)), "trainer-1");
  ASSERT_TRUE(attacher_->del(request(CniCommand::kDel, "trainer-1")).has_value());
  EXPECT_TRUE(kernel_.link(vfName(0, 0)).has_value());
}

TEST_F(AttacherTest, AddFailingAtAnyStepLeavesNothingBehind) {
  network_.vf.trust = true;
  start();
  const int faults = failEveryStepOfAdd(request(CniCommand::kAdd), ENOMEM, ErrorCode::kExhausted);
  EXPECT_GE(faults, 14);  // both rails' steps were reached
  RecordProperty("faults", faults);
}

TEST_F(AttacherTest, DelFailingAtAnyStepIsFinishedByTheNext) {
  network_.vf.trust = true;
  start();
  EXPECT_GT(failEveryStepOfDel(request(CniCommand::kAdd), ENOMEM), 5);
}

TEST_F(AttacherTest, AddKilledAtAnyStepIsUndoneByRecover) {
  network_.vf.trust = true;
  start();
  EXPECT_GE(killAtEveryStepOfAdd(request(CniCommand::kAdd)), 14);
}

TEST_F(AttacherTest, DelKilledAtAnyStepIsFinishedByRecover) {
  network_.vf.trust = true;
  start();
  EXPECT_GT(killAtEveryStepOfDel(request(CniCommand::kAdd)), 5);
}

// Two rail sets of one index, as when the number of VFs was changed under a pod.
TEST_F(AttacherTest, AnAddressThatAnotherPodHasIsRefused) {
  rails_.sets[1].index = rails_.sets[0].index;
  addPod("trainer-1", 1);
  start();
  ASSERT_TRUE(attacher_->add(request(CniCommand::kAdd)).has_value());
  const std::string before = kernel_.snapshot();
  const auto refused = attacher_->add(request(CniCommand::kAdd, "trainer-1"));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, ErrorCode::kBusy);
  EXPECT_THAT(refused.error().message, HasSubstr("address 10.100.0.5/24 is in use by"));
  EXPECT_THAT(refused.error().message, HasSubstr("default/trainer-0"));
  EXPECT_EQ(kernel_.snapshot(), before);
  ASSERT_TRUE(attacher_->del(request(CniCommand::kDel)).has_value());
  EXPECT_TRUE(attacher_->add(request(CniCommand::kAdd, "trainer-1")).has_value());
}

}  // namespace
}  // namespace railhead::attach
