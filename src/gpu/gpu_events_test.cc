#include "src/gpu/gpu_events.h"

#include "tests/support/manual_clock.h"
#include "tests/support/nvml_fixture.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::gpu {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
using testing_support::ManualClock;
using testing_support::NvmlFixture;

const std::string kFirst = "GPU-00000000-1000-4000-8000-000000000000";
const std::string kFourth = "GPU-00000000-1000-4000-8000-000000000003";

// A watcher over the fake driver, and what it has told so far.
class Watch {
 public:
  explicit Watch(const std::string& fixture, std::string library = RAILHEAD_FAKE_NVML_LIBRARY)
      : driver(fixture, library), gpus_({{library}, ""}) {
    GpuWatchOptions options;
    options.waitSlice = 5ms;
    options.probeInterval = 5ms;
    options.reopenInterval = 20ms;
    options.backstop = 1h;
    GpuWatchCallbacks callbacks;
    callbacks.onHealth = [this](const HealthChange& change) {
      note([&] { reason_[change.uuid] = change.reason; });
    };
    callbacks.onDevicesChanged = [this] { note([&] { ++devicesChanged_; }); };
    callbacks.onEvent = [this](const GpuEvent& event) { note([&] { events_.push_back(event); }); };
    callbacks.onProblem = [this](const std::string& line) {
      note([&] { problems_.push_back(line); });
    };
    watcher = std::make_unique<GpuWatcher>(gpus_, clock, options, callbacks);
  }
  ~Watch() { watcher->stop(); }

  void start() {
    watcher->start();
    ASSERT_TRUE(waitFor([&] { return devicesChanged_ > 0 && watcher->watched() > 0; }));
  }
  template <typename Condition>
  bool waitFor(Condition condition) {
    std::unique_lock lock(mutex_);
    const auto deadline = std::chrono::steady_clock::now() + 10s;
    while (!condition()) {
      // Some of what is waited for has no callback (the fake's own counters): hence the short
      // turns.
      if (std::chrono::steady_clock::now() > deadline) return false;
      changed_.wait_for(lock, 5ms);
    }
    return true;
  }
  bool waitForReason(const std::string& uuid, const std::string& text) {
    return waitFor([&] {
      const auto found = reason_.find(uuid);
      return found != reason_.end() && found->second.find(text) != std::string::npos;
    });
  }
  bool waitForHealthy(const std::string& uuid) {
    return waitFor([&] { return reason_.contains(uuid) && reason_[uuid].empty(); });
  }
  bool waitForDevicesChanged(int times) {
    return waitFor([&] { return devicesChanged_ >= times; });
  }
  bool waitForProblem(const std::string& text) {
    return waitFor([&] {
      return std::any_of(problems_.begin(), problems_.end(),
                         [&](const auto& line) { return line.find(text) != std::string::npos; });
    });
  }
  // A reset needs everyone to let go, so it is tried until there is a moment of that.
  bool reset(unsigned gpu) {
    return waitFor([&] { return driver.tryCommand("reset " + std::to_string(gpu)); });
  }
  std::vector<GpuEvent> events() {
    const std::lock_guard lock(mutex_);
    return events_;
  }
  // With the lock held: for waitFor.
  bool toldXid(std::uint64_t xid) const {
    return std::any_of(events_.begin(), events_.end(),
                       [&](const auto& event) { return event.xid == xid; });
  }
  int devicesChanged() {
    const std::lock_guard lock(mutex_);
    return devicesChanged_;
  }

  NvmlFixture driver;
  ManualClock clock;
  std::unique_ptr<GpuWatcher> watcher;

 private:
  template <typename Change>
  void note(Change change) {
    const std::lock_guard lock(mutex_);
    change();
    changed_.notify_all();
  }
  GpuLibrary gpus_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, std::string> reason_;
  std::vector<GpuEvent> events_;
  std::vector<std::string> problems_;
  int devicesChanged_ = 0;
};

TEST(GpuWatcherTest, WatchesEveryGpuAndLetsGoOfTheDriverAtTheEnd) {
  Watch watch("h100-eight");
  watch.start();
  EXPECT_EQ(watch.watcher->watched(), 8U);
  EXPECT_EQ(watch.driver.eventSets(), 1);
  EXPECT_THAT(watch.watcher->unhealthy(), IsEmpty());
  watch.watcher->stop();
  EXPECT_EQ(watch.driver.eventSets(), 0);
}

TEST(GpuWatcherTest, AnXidMakesItsGpuUnhealthyWhileTheOthersAreStillWatched) {
  Watch watch("h100-eight");
  watch.start();
  watch.driver.command("xid 3 79");
  EXPECT_TRUE(watch.waitForReason(kFourth, "Xid 79"));
  EXPECT_THAT(watch.watcher->unhealthy(), ElementsAre(Pair(kFourth, "Xid 79")));
  watch.driver.command("xid 0 48");
  EXPECT_TRUE(watch.waitForReason(kFirst, "Xid 48"));
}

TEST(GpuWatcherTest, AnApplicationsXidIsToldAndChangesNothing) {
  Watch watch("h100-one");
  watch.start();
  watch.driver.command("xid 0 31");
  watch.driver.command("xid 0 94");
  EXPECT_TRUE(watch.waitForReason(kFirst, "Xid 94"));
  const auto events = watch.events();
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[0].xid, 31U);
}

TEST(GpuWatcherTest, ADoubleBitErrorCounts) {
  Watch watch("h100-eight");
  watch.start();
  watch.driver.command("event 0 2");
  EXPECT_TRUE(watch.waitForReason(kFirst, "double-bit ECC error"));
}

TEST(GpuWatcherTest, WhenTheQuietTimeIsOverTheGpuIsHealthyAgain) {
  Watch watch("h100-one");
  watch.start();
  watch.driver.command("xid 0 94");
  ASSERT_TRUE(watch.waitForReason(kFirst, "Xid 94"));
  watch.clock.advance(11s);
  EXPECT_TRUE(watch.waitForHealthy(kFirst));
  EXPECT_TRUE(watch.waitFor([&] { return watch.watcher->watched() == 1; }));
  watch.driver.command("xid 0 95");
  EXPECT_TRUE(watch.waitForReason(kFirst, "Xid 95"));
}

TEST(GpuWatcherTest, TheOnlyGpuIsLetGoSoThatItCanBeReset) {
  Watch watch("h100-one");
  watch.start();
  watch.driver.command("set 0 nvmlDeviceGetFieldValues {\"230\": 1}");
  watch.driver.command("xid 0 95");
  ASSERT_TRUE(watch.waitForReason(kFirst, "asks for a reset"));
  watch.clock.advance(1h);  // time alone heals nothing
  ASSERT_TRUE(watch.reset(0));
  watch.clock.advance(11s);
  EXPECT_TRUE(watch.waitForHealthy(kFirst));
}

TEST(GpuWatcherTest, ALostGpuIsUnhealthyUntilItIsFoundAgain) {
  Watch watch("h100-one");
  watch.start();
  watch.driver.command("lose 0");
  ASSERT_TRUE(watch.waitFor([&] { return !watch.watcher->unhealthy().empty(); }));
  ASSERT_TRUE(watch.reset(0));
  EXPECT_TRUE(watch.waitForHealthy(kFirst));
  EXPECT_TRUE(watch.waitFor([&] { return watch.watcher->watched() == 1; }));
}

TEST(GpuWatcherTest, ALostGpuDoesNotStopTheWatchOverTheOthers) {
  Watch watch("h100-eight");
  watch.start();
  watch.driver.command("lose 3");
  ASSERT_TRUE(watch.waitForReason(kFourth, "no longer has this GPU"));
  ASSERT_TRUE(watch.waitFor([&] { return watch.driver.registrations() == 7; }));
  watch.driver.command("xid 0 79");
  EXPECT_TRUE(watch.waitForReason(kFirst, "Xid 79"));
}

TEST(GpuWatcherTest, AGpuFoundBrokenAtTheStartIsUnhealthyAtOnce) {
  Watch watch("h100-eight");
  watch.driver.command("set 3 nvmlDeviceGetFieldValues {\"230\": 4}");
  watch.start();
  EXPECT_TRUE(watch.waitForReason(kFourth, "drain and reset"));
  watch.driver.command("set 3 nvmlDeviceGetFieldValues {\"230\": 0}");
  EXPECT_TRUE(watch.waitForHealthy(kFourth));
}

TEST(GpuWatcherTest, PendingAndFailedRemappingsAreToldApart) {
  Watch watch("h100-eight");
  watch.driver.command(
      "set 0 nvmlDeviceGetRemappedRows "
      "{\"corrected\":0,\"uncorrected\":1,\"pending\":1,\"failure\":0}");
  watch.driver.command(
      "set 3 nvmlDeviceGetRemappedRows "
      "{\"corrected\":0,\"uncorrected\":1,\"pending\":0,\"failure\":1}");
  watch.start();
  ASSERT_TRUE(watch.waitForReason(kFourth, "row remapping failed"));
  EXPECT_EQ(watch.watcher->unhealthy().size(), 1U);
  watch.driver.command("xid 0 63");
  EXPECT_TRUE(watch.waitForReason(kFirst, "Xid 63; a row remapping waits for a reset"));
}

TEST(GpuWatcherTest, AMigInstancesXidConcernsItsDevice) {
  Watch watch("mig-h100");
  watch.start();
  watch.driver.command("xid 0 94 10 0");
  EXPECT_TRUE(watch.waitForReason("MIG-00000000-2000-5000-8000-000000000002", "Xid 94"));
  EXPECT_EQ(watch.watcher->unhealthy().size(), 1U);
}

TEST(GpuWatcherTest, AChangeOfMigDevicesIsTold) {
  Watch watch("mig-h100");
  watch.start();
  const int before = watch.devicesChanged();
  watch.driver.command("set-mig 0 0 nvmlDeviceGetUUID \"MIG-new\"");
  watch.driver.command("event 0 256");
  EXPECT_TRUE(watch.waitFor([&] { return watch.driver.registrations() == 1; }));
  EXPECT_TRUE(watch.waitForDevicesChanged(before + 1));
}

TEST(GpuWatcherTest, EventTypesThatAreRefusedDoNotTakeTheXidWithThem) {
  Watch watch("h100-one");
  watch.driver.command("set 0 nvmlDeviceRegisterEvents {\"2\": 3, \"256\": 3}");
  watch.start();
  watch.driver.command("xid 0 79");
  EXPECT_TRUE(watch.waitForReason(kFirst, "Xid 79"));
}

TEST(GpuWatcherTest, AGpuWithoutEventsIsNamedAndStillLookedAt) {
  Watch watch("h100-one");
  watch.driver.command("set 0 nvmlDeviceGetSupportedEventTypes 0");
  watch.driver.command("set 0 nvmlDeviceGetFieldValues {\"230\": 2}");
  watch.watcher->start();
  EXPECT_TRUE(watch.waitForReason(kFirst, "reboot of the node"));
  EXPECT_TRUE(watch.waitForProblem("does not deliver Xid events"));
}

TEST(GpuWatcherTest, AGpuThatAnswersWronglyCostsTheOthersNoEvent) {
  Watch watch("h100-eight");
  watch.driver.command("set 3 nvmlDeviceGetUUID {\"return\": 999}");
  const int before = watch.driver.eventSetsMade();
  const auto opened = std::chrono::steady_clock::now();
  watch.start();
  EXPECT_EQ(watch.watcher->watched(), 7U);
  EXPECT_TRUE(watch.waitForProblem("GPU 3: it does not tell its UUID"));
  // Each Xid arrives, whatever is done about the eighth GPU meanwhile.
  std::uint64_t xid = 2000;
  while (watch.driver.eventSetsMade() - before < 4) {
    watch.driver.command("xid 0 " + std::to_string(++xid));
    ASSERT_TRUE(watch.waitFor([&] { return watch.toldXid(xid); })) << xid;
  }
  // Listed after 20 ms, then 40, then 80: a fault that stays is asked about less and less.
  EXPECT_GE(std::chrono::steady_clock::now() - opened, 140ms);
  watch.driver.command("set 3 nvmlDeviceGetUUID \"" + kFourth + "\"");
  EXPECT_TRUE(watch.waitFor([&] { return watch.watcher->watched() == 8; }));
}

TEST(GpuWatcherTest, AnOlderDriverIsWatchedByItsEventsAlone) {
  Watch watch("h100-one", RAILHEAD_FAKE_NVML_OLD_LIBRARY);
  watch.start();
  watch.driver.command("xid 0 62");
  ASSERT_TRUE(watch.waitForReason(kFirst, "Xid 62"));
  watch.clock.advance(301s);
  EXPECT_TRUE(watch.waitForHealthy(kFirst));
}

TEST(GpuWatcherTest, ADriverThatIsLoadedLaterIsFound) {
  Watch watch("h100-one");
  watch.driver.command("fail-init 9");
  watch.watcher->start();
  ASSERT_TRUE(watch.waitForProblem("the NVIDIA driver is not loaded"));
  watch.driver.command("fail-init 0");
  EXPECT_TRUE(watch.waitFor([&] { return watch.watcher->watched() == 1; }));
}

TEST(GpuWatcherTest, StopsWithoutADriverAndTwice) {
  ManualClock clock;
  GpuLibrary library({{"libno-such-driver.so.1"}, ""});
  GpuWatcher watcher(library, clock, {}, {});
  watcher.start();
  watcher.stop();
  watcher.stop();
  EXPECT_EQ(watcher.watched(), 0U);
}

}  // namespace
}  // namespace railhead::gpu
