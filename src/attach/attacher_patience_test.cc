// Who waits for what: DELs that passed without an agent, requests with a bound, plugins that hang.
#include "src/attach/attacher.h"
#include "src/attach/deletion_marks.h"
#include "src/attach/sweeper.h"
#include "src/cni/names.h"
#include "tests/support/attach_fixture.h"

#include <cerrno>
#include <future>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::attach {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing_support::FakePlugins;

class PatienceTest : public AttachFixture {
 protected:
  void SetUp() override {
    AttachFixture::SetUp();
    plugins_.install("macvlan", FakePlugins::Kind::kInterface);
    plugins_.install("host-local", FakePlugins::Kind::kIpam);
    network_.name = "configured";
    nads_.nads = {
        {"default", "mv", "", R"({"cniVersion":"1.0.0","type":"macvlan","name":"mv"})"},
        {"default", "slow", "", R"({"cniVersion":"1.0.0","type":"macvlan","name":"slow"})"},
        {"default", "rail", "nvidia.com/cx7_qsfp",
         R"({"cniVersion":"1.0.0","name":"rail","type":"sriov",)"
         R"("ipam":{"type":"host-local"}})"}};
  }
  std::string everything() { return kernel_.snapshot() + plugins_.snapshot(); }
  void add(const std::string& pod, const std::string& annotation) {
    const auto added = attacher_->add(request(CniCommand::kAdd, pod, annotation));
    ASSERT_TRUE(added.has_value()) << added.error().describe();
  }
  std::string markPath(const std::string& pod) {
    return cni::deletionMark(kernel_.paths().state, cni::attachmentKey("sandbox-" + pod, "eth0"));
  }
  void mark(const std::string& pod) { kernel_.memory().putDirectory(markPath(pod)); }
  bool marked(const std::string& pod) { return kernel_.files().exists(markPath(pod)); }
  void restart() {
    attacher_.reset();
    kernel_.revive();
    start();
  }
};

// The namespace is kept alive by something else: without the mark the VF would stay in it.
TEST_F(PatienceTest, ADelThatPassedWithoutAnAgentIsCarriedOutBeforeItServes) {
  start();
  const std::string before = everything();
  add("trainer-0", "rail");
  mark("trainer-0");
  restart();
  const auto report = attacher_->recover();
  EXPECT_THAT(report.failed, IsEmpty());
  EXPECT_THAT(report.done, testing::Contains(HasSubstr("carries out the DEL of pod "
                                                       "default/trainer-0")));
  EXPECT_FALSE(marked("trainer-0"));
  EXPECT_THAT(attacher_->sweepPlugins().failed, IsEmpty());
  EXPECT_EQ(everything(), before);
  EXPECT_THAT(journalFiles(), IsEmpty());
}

TEST_F(PatienceTest, MarksOfWhatIsNotKnownAreForgotten) {
  start();
  mark("trainer-0");
  kernel_.memory().putDirectory(kernel_.paths().state + "/deleted/no mark");
  EXPECT_THAT(attacher_->sweep().done, IsEmpty());
  EXPECT_FALSE(marked("trainer-0"));
}

// An ADD that ends after its runtime gave it up: the DEL that followed was told to try again.
TEST_F(PatienceTest, ADelThatPassedWhileItsAddWasAtWorkIsCarriedOut) {
  start();
  const std::string before = everything();
  plugins_.hold("macvlan", "ADD");
  std::thread adding([&] { add("trainer-0", "mv"); });
  ASSERT_TRUE(plugins_.waitUntilHeld());
  mark("trainer-0");
  EXPECT_THAT(attacher_->sweepAttachments().done, IsEmpty());
  EXPECT_TRUE(marked("trainer-0"));
  plugins_.letGo();
  adding.join();
  EXPECT_THAT(attacher_->sweepAttachments().done, SizeIs(1));
  EXPECT_THAT(attacher_->sweepPlugins().failed, IsEmpty());
  EXPECT_EQ(everything(), before);
}

TEST_F(PatienceTest, AnAddAfterAMarkBeginsAnew) {
  start();
  add("trainer-0", "mv");
  mark("trainer-0");
  plugins_.forgetRuns();
  add("trainer-0", "mv");
  EXPECT_THAT(plugins_.runs(), SizeIs(2));  // DEL of the old, ADD of the new
  EXPECT_FALSE(marked("trainer-0"));
  EXPECT_THAT(attacher_->sweep().done, IsEmpty());
  EXPECT_TRUE(attacher_->check(request(CniCommand::kCheck)).has_value());
}

TEST_F(PatienceTest, AMarkThatCannotBeWrittenDownStays) {
  start();
  add("trainer-0", "mv");
  mark("trainer-0");
  kernel_.revive();
  kernel_.failAt(1, ENOSPC);
  EXPECT_THAT(attacher_->sweepAttachments().failed, SizeIs(1));
  EXPECT_TRUE(marked("trainer-0"));
  EXPECT_THAT(attacher_->sweepAttachments().failed, IsEmpty());
  EXPECT_FALSE(marked("trainer-0"));
}

// The plugins before us in the chain free the pod's address: they do not wait.
TEST_F(PatienceTest, AChainedDelPassesOnceItsRecordSaysSo) {
  start();
  const std::string before = everything();
  plugins_.fail("macvlan", "DEL", "stuck");
  add("trainer-0", "mv");
  EXPECT_TRUE(attacher_->del(request(CniCommand::kDel)).has_value());
  EXPECT_THAT(attacher_->sweepPlugins().failed, SizeIs(1));
  plugins_.fail("macvlan", "DEL", "");
  clock_.sleepFor(config_.pluginPause);
  EXPECT_THAT(attacher_->sweepPlugins().done, SizeIs(1));
  EXPECT_EQ(everything(), before);
  // Before that it does not: the record is what sweep() goes by.
  add("trainer-0", "mv");
  kernel_.revive();
  kernel_.failAt(1, ENOSPC);
  EXPECT_EQ(attacher_->del(request(CniCommand::kDel)).error().code, ErrorCode::kExhausted);
}

TEST_F(PatienceTest, ADelegatesDelTellsWhatFailed) {
  start();
  auto add = request(CniCommand::kAdd, "trainer-0", "");
  add.networkName = "own";
  add.id.ifname = "net1";
  add.deviceId = vfAddress(0, 1);
  add.inlineNetwork.ipamType = "host-local";
  add.inlineNetwork.ipamConfig = R"({"cniVersion":"1.0.0","name":"own","ipam":{}})";
  ASSERT_TRUE(attacher_->add(add).has_value());
  plugins_.fail("host-local", "DEL", "stuck");
  EXPECT_FALSE(attacher_->del(add).has_value());
}

// Two slow plugins: the whole request has a bound, and so has its undo.
TEST_F(PatienceTest, ARequestEndsBeforeTheShimGivesItUp) {
  start();
  const std::string before = everything();
  plugins_.slow("macvlan", "ADD", clock_, std::chrono::seconds(25));
  plugins_.slow("macvlan", "DEL", clock_, std::chrono::seconds(25));
  const auto begin = clock_.now();
  const auto added = attacher_->add(request(CniCommand::kAdd, "trainer-0", "mv,slow,rail"));
  ASSERT_FALSE(added.has_value());
  EXPECT_EQ(added.error().code, ErrorCode::kDeadlineExceeded);
  EXPECT_LE(clock_.now() - begin, cni::kRequestBound + cni::kUndoBound + config_.returnWait);
  EXPECT_LT(clock_.now() - begin, cni::kAnswerWait);
  // Rails are home; what plugins could not give back in that time is asked of them again.
  EXPECT_EQ(kernel_.netnsOf(vfAddress(0, 0)), "");
  ASSERT_THAT(attacher_->attachments(), SizeIs(1));
  plugins_.slow("macvlan", "DEL", clock_, std::chrono::seconds(1));
  clock_.sleepFor(config_.pluginPause);
  EXPECT_THAT(attacher_->sweepPlugins().failed, IsEmpty());
  EXPECT_EQ(everything(), before);
}

TEST_F(PatienceTest, ARequestThatWaitedTooLongIsNotBegun) {
  start();
  auto late = request(CniCommand::kAdd, "trainer-0", "mv");
  late.patience = std::chrono::seconds(15);  // of 60: less than undoing may take
  kernel_.revive();
  const auto added = attacher_->add(late);
  ASSERT_FALSE(added.has_value());
  EXPECT_EQ(added.error().code, ErrorCode::kDeadlineExceeded);
  EXPECT_EQ(kernel_.operations(), 0);
  late.patience = std::chrono::seconds(60);
  EXPECT_TRUE(attacher_->add(late).has_value());
}

TEST_F(PatienceTest, AnotherPodsVfsDoNotWaitForAPluginThatHangs) {
  addPod("trainer-1", 1);
  start();
  add("trainer-0", "mv");
  add("trainer-1", "rail");
  std::promise<SweepReport> back;
  const auto told = [&](const SweepReport& report) {
    for (const auto& line : report.done) {
      if (line.find("took back the rails of pod default/trainer-1") != std::string::npos)
        back.set_value(report);
    }
  };
  plugins_.hold("macvlan", "DEL");
  Sweeper sweeper(*attacher_, std::chrono::milliseconds(10), told);
  kernel_.killNetns("trainer-0");
  sweeper.wake();
  EXPECT_TRUE(plugins_.waitUntilHeld());
  kernel_.killNetns("trainer-1");
  sweeper.wake();
  auto future = back.get_future();
  EXPECT_EQ(future.wait_for(std::chrono::seconds(20)), std::future_status::ready);
  EXPECT_TRUE(kernel_.link(vfName(0, 1)).has_value());
  plugins_.letGo();
}

}  // namespace
}  // namespace railhead::attach
