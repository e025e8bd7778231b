// What comes back without DEL: sweep, recover, garbage collection, lost records.
#include "src/attach/attacher.h"
#include "src/attach/sweeper.h"
#include "tests/support/attach_fixture.h"

#include <cerrno>
#include <future>
#include <optional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::attach {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class AttacherSweepTest : public AttachFixture {
 protected:
  void add(const std::string& pod) {
    const auto result = attacher_->add(request(CniCommand::kAdd, pod));
    ASSERT_TRUE(result.has_value()) << result.error().describe();
  }
  void restart() {
    attacher_.reset();
    kernel_.revive();
    start();
  }
};

TEST_F(AttacherSweepTest, GivesVfsOfDeadPodsBackUnderTheirOwnName) {
  addPod("trainer-1", 1);
  start();
  add("trainer-0");
  add("trainer-1");
  EXPECT_THAT(attacher_->sweep().done, IsEmpty());
  // Both pods called theirs net1: the kernel names the second devN.
  kernel_.killNetns("trainer-0");
  kernel_.killNetns("trainer-1");
  EXPECT_TRUE(kernel_.link("dev0").has_value());
  const auto report = attacher_->sweep();
  EXPECT_THAT(report.done, SizeIs(2));
  EXPECT_THAT(report.done[0], HasSubstr("pod default/trainer-0"));
  EXPECT_THAT(report.failed, IsEmpty());
  for (int twin = 0; twin < 2; ++twin) {
    for (int i = 0; i < 2; ++i) {
      const auto link = kernel_.link(vfName(twin, i));
      ASSERT_TRUE(link.has_value());
      EXPECT_EQ(link->pci, vfAddress(twin, i));
      EXPECT_EQ(link->mtu, 1500);
    }
  }
  EXPECT_THAT(journalFiles(), IsEmpty());
}

TEST_F(AttacherSweepTest, TriesAgainWhatFailed) {
  start();
  const std::string before = kernel_.snapshot();
  add("trainer-0");
  kernel_.revive();
  kernel_.failAt(3, EIO);
  ASSERT_TRUE(attacher_->del(request(CniCommand::kDel)).has_value());
  ASSERT_THAT(attacher_->attachments(), SizeIs(1));
  EXPECT_EQ(attacher_->attachments()[0].state, AttachmentState::kDetaching);
  const auto report = attacher_->sweep();
  EXPECT_THAT(report.done, ElementsAre(HasSubstr("the request was not finished"),
                                       HasSubstr("DEL of pod default/trainer-0 (sandbox "
                                                 "sandbox-train) is not finished and goes on: ")));
  EXPECT_EQ(kernel_.snapshot(), before);
}

TEST_F(AttacherSweepTest, UndoThatFailsIsReportedAndFinishedLater) {
  start();
  const std::string before = kernel_.snapshot();
  // The soft-RoCE device of rail 1 cannot be made, and from there on nothing works.
  kernel_.revive();
  kernel_.crashAt(11);
  const auto result = attacher_->add(request(CniCommand::kAdd));
  ASSERT_FALSE(result.has_value());
  EXPECT_THAT(result.error().message, HasSubstr("; undoing it failed too: "));
  kernel_.revive();
  EXPECT_THAT(attacher_->sweep().failed, IsEmpty());
  EXPECT_EQ(kernel_.snapshot(), before);
  EXPECT_THAT(attacher_->attachments(), IsEmpty());
}

TEST_F(AttacherSweepTest, APodThatDiedWhileTheAgentWasDownIsFoundAtStart) {
  start();
  add("trainer-0");
  kernel_.killNetns("trainer-0");
  restart();
  EXPECT_THAT(attacher_->recover().done, ElementsAre(HasSubstr("its namespace is gone")));
  EXPECT_TRUE(kernel_.link(vfName(0, 0)).has_value());
  EXPECT_THAT(journalFiles(), IsEmpty());
}

TEST_F(AttacherSweepTest, ALivingPodKeepsItsRailsOverARestart) {
  start();
  add("trainer-0");
  const std::string running = kernel_.snapshot();
  restart();
  const auto report = attacher_->recover();
  EXPECT_THAT(report.done, IsEmpty());
  EXPECT_EQ(kernel_.snapshot(), running);
  EXPECT_TRUE(attacher_->check(request(CniCommand::kCheck)).has_value());
  addPod("trainer-1", 0);
  EXPECT_EQ(attacher_->add(request(CniCommand::kAdd, "trainer-1")).error().code, ErrorCode::kBusy);
}

TEST_F(AttacherSweepTest, StraysOfALostJournalGetAPlainName) {
  start();
  add("trainer-0");
  attacher_.reset();
  kernel_.memory().erase(kernel_.paths().state);
  kernel_.killNetns("trainer-0");
  ASSERT_TRUE(kernel_.link("net1").has_value());
  start();
  EXPECT_THAT(attacher_->recover().done,
              ElementsAre("renamed stray VF 0000:01:10.0 from net1 to enp1s0f0np0v0",
                          "renamed stray VF 0002:01:10.0 from net2 to enP2p1s0f0np0v0"));
  EXPECT_TRUE(kernel_.link("enP2p1s0f0np0v0").has_value());
}

// Whatever the pod called them, and whatever its network set on them.
TEST_F(AttacherSweepTest, StraysHaveTheirOwnNameAndNoSettingsOfAPod) {
  kernel_.renameHostLink(vfName(0, 0), "ens1f0v0");
  network_.vf.vlan = 100;
  network_.vf.maxTxRate = 1000;
  start();
  ASSERT_TRUE(attacher_->add(request(CniCommand::kAdd, "trainer-0", "dgx-qsfp@roce")).has_value());
  EXPECT_EQ(kernel_.vfSettings(kPfNames[0], 0).vlan, 100);
  attacher_.reset();
  kernel_.memory().erase(kernel_.paths().state);
  kernel_.killNetns("trainer-0");
  ASSERT_TRUE(kernel_.link("roce").has_value());
  start();
  const auto report = attacher_->recover();
  EXPECT_THAT(report.done,
              ElementsAre("renamed stray VF 0000:01:10.0 from roce to ens1f0v0",
                          "renamed stray VF 0002:01:10.0 from roce2 to enP2p1s0f0np0v0"));
  EXPECT_TRUE(report.strays);
  EXPECT_THAT(report.failed, IsEmpty());
  ASSERT_TRUE(kernel_.link("ens1f0v0").has_value());
  EXPECT_EQ(kernel_.link("ens1f0v0")->alias, "");
  EXPECT_EQ(kernel_.vfSettings(kPfNames[0], 0).vlan, 0);
  EXPECT_EQ(kernel_.vfSettings(kPfNames[0], 0).maxTxRate, 0);
  EXPECT_THAT(attacher_->sweep().done, IsEmpty());
}

TEST_F(AttacherSweepTest, AnAliasIsPutBack) {
  const auto host = std::move(*kernel_.openLinks(nullptr));
  const int index = kernel_.link(vfName(0, 0))->index;
  ASSERT_TRUE(host->change(index, {.alias = "spare"}).has_value());
  start();
  add("trainer-0");
  EXPECT_EQ(kernel_.link("net1", "trainer-0")->alias, "railhead:" + vfName(0, 0));
  ASSERT_TRUE(attacher_->del(request(CniCommand::kDel)).has_value());
  EXPECT_EQ(kernel_.link(vfName(0, 0))->alias, "spare");
}

// An ADD that comes after the sweep saw the stray and before it renamed it: one of the two waits.
TEST_F(AttacherSweepTest, AStrayThatAPodTakesMeanwhileIsLeftAlone) {
  start();
  add("trainer-0");
  attacher_.reset();
  kernel_.memory().erase(kernel_.paths().state);
  kernel_.killNetns("trainer-0");
  ASSERT_TRUE(kernel_.link("net1").has_value());
  addPod("trainer-1", 0);
  config_.queueWait = std::chrono::milliseconds(0);  // the ADD comes from the sweep's own thread
  start();
  std::optional<Result<std::string>> meanwhile;
  kernel_.atHostListing(
      2, [&] { meanwhile = attacher_->add(request(CniCommand::kAdd, "trainer-1")); });
  const auto report = attacher_->sweep();
  ASSERT_TRUE(meanwhile.has_value());
  EXPECT_THAT(report.failed, IsEmpty());
  ASSERT_FALSE(meanwhile->has_value());
  EXPECT_EQ(meanwhile->error().code, ErrorCode::kBusy);
  EXPECT_THAT(report.done, SizeIs(2));
  add("trainer-1");
  ASSERT_TRUE(attacher_->del(request(CniCommand::kDel, "trainer-1")).has_value());
  EXPECT_TRUE(kernel_.link(vfName(0, 0)).has_value());
}

// The ADD is there before the sweep looks a second time.
TEST_F(AttacherSweepTest, AStrayThatAPodTookIsNotTouched) {
  start();
  add("trainer-0");
  attacher_.reset();
  kernel_.memory().erase(kernel_.paths().state);
  kernel_.killNetns("trainer-0");
  addPod("trainer-1", 0);
  start();
  kernel_.atHostListing(1, [&] { add("trainer-1"); });
  const auto report = attacher_->sweep();
  EXPECT_THAT(report.failed, IsEmpty());
  EXPECT_THAT(report.done, IsEmpty());
  EXPECT_TRUE(attacher_->check(request(CniCommand::kCheck, "trainer-1")).has_value());
}

TEST_F(AttacherSweepTest, ADamagedRecordIsReportedNotFatal) {
  start();
  add("trainer-0");
  attacher_.reset();
  kernel_.memory().put(journalDirectory() + "/bad@eth0.json", "{\"format\":1");
  kernel_.memory().put(journalDirectory() + "/.sandbox@eth0.json.tmp1.0", "{");
  start();
  const auto report = attacher_->recover();
  ASSERT_THAT(report.failed, SizeIs(1));
  EXPECT_THAT(report.failed[0].message, HasSubstr("bad@eth0.json: record is not valid JSON"));
  EXPECT_THAT(journalFiles(), ElementsAre("bad@eth0.json", "sandbox-trainer-0@eth0.json"));
  EXPECT_TRUE(attacher_->check(request(CniCommand::kCheck)).has_value());
}

TEST_F(AttacherSweepTest, GcTakesBackWhatIsNotValid) {
  addPod("trainer-1", 1);
  addPod("trainer-2", 2);
  start();
  add("trainer-0");
  add("trainer-1");
  auto other = request(CniCommand::kAdd, "trainer-2");
  other.networkName = "another-network";
  ASSERT_TRUE(attacher_->add(other).has_value());
  auto gc = request(CniCommand::kGc);
  gc.validAttachments = {{"sandbox-trainer-1", "eth0"}};
  const auto report = attacher_->gc(gc);
  ASSERT_TRUE(report.has_value());
  EXPECT_THAT(report->done, ElementsAre(HasSubstr("pod default/trainer-0")));
  EXPECT_EQ(kernel_.netnsOf(vfAddress(0, 0)), "");
  EXPECT_EQ(kernel_.netnsOf(vfAddress(0, 1)), "trainer-1");
  EXPECT_EQ(kernel_.netnsOf(vfAddress(0, 2)), "trainer-2");
}

TEST_F(AttacherSweepTest, ANewSandboxOfTheSamePodReplacesTheOld) {
  start();
  add("trainer-0");
  kernel_.addNetns("new-ns");
  auto again = request(CniCommand::kAdd);
  again.id.containerId = "second-sandbox";
  again.netnsPath = kernel_.netnsPath("new-ns");
  ASSERT_TRUE(attacher_->add(again).has_value());
  EXPECT_EQ(kernel_.netnsOf(vfAddress(0, 0)), "new-ns");
  EXPECT_THAT(journalFiles(), ElementsAre("second-sandbox@eth0.json"));
  // The late DEL of the old sandbox does not touch the new one's.
  ASSERT_TRUE(attacher_->del(request(CniCommand::kDel)).has_value());
  EXPECT_EQ(kernel_.netnsOf(vfAddress(0, 0)), "new-ns");
}

TEST_F(AttacherSweepTest, ATakenHostNameDoesNotKeepTheVf) {
  start();
  add("trainer-0");
  kernel_.addHostLink(vfName(0, 0), "veth");
  ASSERT_TRUE(attacher_->del(request(CniCommand::kDel)).has_value());
  EXPECT_EQ(kernel_.netnsOf(vfAddress(0, 0)), "");
  EXPECT_THAT(attacher_->sweep().done,
              ElementsAre("VF 0000:01:10.0 came back as rhvf0: the name enp1s0f0np0v0 is taken"));
}

TEST_F(AttacherSweepTest, VfsThatNoLongerExistAreForgotten) {
  start();
  add("trainer-0");
  write("/sys/bus/pci/devices/0000:01:00.0/sriov_numvfs", "0");
  write("/sys/bus/pci/devices/0002:01:00.0/sriov_numvfs", "0");
  EXPECT_TRUE(attacher_->del(request(CniCommand::kDel)).has_value());
  EXPECT_THAT(attacher_->attachments(), IsEmpty());
}

TEST_F(AttacherSweepTest, AVfTheKernelStillHasIsLeftToTheSweep) {
  start();
  add("trainer-0");
  write("/sys/bus/pci/drivers/igbvf/unbind", vfAddress(0, 0));
  kernel_.killNetns("trainer-0");
  const auto begin = clock_.now();
  EXPECT_TRUE(attacher_->del(request(CniCommand::kDel)).has_value());
  EXPECT_GE(clock_.now() - begin, config_.returnWait);
  ASSERT_THAT(attacher_->attachments(), SizeIs(1));
  addPod("trainer-1", 0);
  EXPECT_EQ(attacher_->add(request(CniCommand::kAdd, "trainer-1")).error().code,
            ErrorCode::kUnavailable);
  write("/sys/bus/pci/drivers/igbvf/bind", vfAddress(0, 0));
  EXPECT_THAT(attacher_->sweep().done, SizeIs(1));
  EXPECT_TRUE(attacher_->add(request(CniCommand::kAdd, "trainer-1")).has_value());
}

TEST_F(AttacherSweepTest, StatusAnswersFromTheKernel) {
  start();
  EXPECT_TRUE(attacher_->status(request(CniCommand::kStatus)).has_value());
  kernel_.memory().erase(kernel_.paths().state);
  EXPECT_FALSE(attacher_->status(request(CniCommand::kStatus)).has_value());
}

TEST_F(AttacherSweepTest, AttachmentsAreSweptWithoutListingTheHostsLinks) {
  start();
  bool listed = false;
  kernel_.atHostListing(1, [&] { listed = true; });
  EXPECT_THAT(attacher_->sweepAttachments().done, IsEmpty());
  add("trainer-0");
  listed = false;
  kernel_.atHostListing(1, [&] { listed = true; });
  EXPECT_THAT(attacher_->sweepAttachments().done, IsEmpty());
  EXPECT_FALSE(listed);
  kernel_.killNetns("trainer-0");
  EXPECT_THAT(attacher_->sweepAttachments().done, SizeIs(1));
}

TEST_F(AttacherSweepTest, SweeperRunsWhenWoken) {
  start();
  add("trainer-0");
  std::promise<SweepReport> reported;
  Sweeper sweeper(*attacher_, std::chrono::hours(1),
                  [&](const SweepReport& report) { reported.set_value(report); });
  kernel_.killNetns("trainer-0");
  auto future = reported.get_future();
  // What one of its threads looks at just then the other leaves for the next time.
  auto ready = std::future_status::timeout;
  for (int i = 0; i < 200 && ready != std::future_status::ready; ++i) {
    sweeper.wake();
    ready = future.wait_for(std::chrono::milliseconds(100));
  }
  ASSERT_EQ(ready, std::future_status::ready);
  EXPECT_THAT(future.get().done, SizeIs(1));
}

}  // namespace
}  // namespace railhead::attach
