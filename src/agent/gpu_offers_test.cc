// GPUs from the fake driver to the kubelet stand-in, over real sockets.
#include "src/agent/gpu_offers.h"

#include "lab/kubelet/rig.h"
#include "src/os/unix_listener.h"
#include "tests/support/kept_log.h"
#include "tests/support/manual_clock.h"
#include "tests/support/memory_filesystem.h"
#include "tests/support/nvml_fixture.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::agent {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing_support::KeptLog;
using testing_support::ManualClock;
using testing_support::MemoryFilesystem;
using testing_support::NvmlFixture;

const std::string kGpu = "GPU-00000000-1000-4000-8000-00000000000";
const std::string kMig = "MIG-00000000-2000-5000-8000-00000000000";
constexpr const char* kResource = "nvidia.com/gpu";

class GpuOffersTest : public testing::Test {
 protected:
  void SetUp() override {
    auto made = lab::KubeletRig::make();
    ASSERT_TRUE(made.has_value()) << made.error().describe();
    rig_ = std::move(*made);
    paths_.kubeletPlugins = rig_->pluginsFolder();
    const auto started = rig_->kubelet().start();
    ASSERT_TRUE(started.has_value()) << started.error().describe();
  }
  void TearDown() override {
    if (offers_) offers_->stop();
  }

  void start(const std::string& fixture, GpusConfig config = {}, bool on = true,
             std::chrono::seconds quiet = 0s) {
    config.quiet = quiet;
    files_.putDirectory(paths_.state);
    if (!driver_) driver_ = std::make_unique<NvmlFixture>(fixture);
    library_ = std::make_unique<gpu::GpuLibrary>(
        gpu::GpuLibraryOptions{{driver_->library()}, "/sys"}, &files_);
    cdi_ = std::make_unique<advertise::CdiFolder>(files_, paths_.cdi,
                                                  std::vector<std::string>{paths_.cdiStatic});
    gpu::GpuWatchOptions options;
    options.waitSlice = 5ms;
    options.probeInterval = 5ms;
    options.reopenInterval = 20ms;
    offers_ = std::make_unique<GpuOffers>(paths_, GpuSeams{*library_, files_, clock_, log_, *cdi_},
                                          options);
    offers_->configure(on, std::move(config));
    offers_->start();
    offers_->serve();
  }

  // What kubelet knows of a resource: "id" healthy, "!id" not.
  testing::AssertionResult kubeletHas(const std::string& resource,
                                      const std::vector<std::string>& wanted,
                                      std::chrono::milliseconds wait = 10s) {
    std::vector<std::string> seen;
    const bool came = rig_->kubelet().waitFor(
        [&](const lab::KubeletStatus& status) {
          seen.clear();
          const auto found = status.resources.find(resource);
          if (found == status.resources.end()) return wanted.empty();
          for (const auto& device : found->second.devices)
            seen.push_back((device.healthy ? "" : "!") + device.id);
          return seen == wanted;
        },
        std::chrono::steady_clock::now() + wait);
    if (came) return testing::AssertionSuccess();
    return testing::AssertionFailure() << "kubelet has " << testing::PrintToString(seen);
  }
  // Some of what is waited for has no signal of its own.
  template <typename Condition>
  bool eventually(Condition condition) {
    const auto deadline = std::chrono::steady_clock::now() + 10s;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::yield();
    }
    return true;
  }

  std::unique_ptr<lab::KubeletRig> rig_;
  os::HostPaths paths_;
  MemoryFilesystem files_;
  ManualClock clock_;
  KeptLog log_;
  std::unique_ptr<NvmlFixture> driver_;
  std::unique_ptr<gpu::GpuLibrary> library_;
  std::unique_ptr<advertise::CdiFolder> cdi_;
  std::unique_ptr<GpuOffers> offers_;
};

TEST_F(GpuOffersTest, AnXidIsSeenByKubeletWithinASecondAndItsEndToo) {
  start("h100-recorded");
  const std::string gpu = "GPU-00000000-0000-4000-8000-000000000000";
  ASSERT_TRUE(kubeletHas(kResource, {gpu}));
  // The best of three: the machine may be busy.
  auto took = std::chrono::steady_clock::duration::max();
  for (int tries = 0; tries < 3 && took >= 1s; ++tries) {
    if (tries > 0) {
      clock_.advance(11s);
      ASSERT_TRUE(kubeletHas(kResource, {gpu}));
    }
    const auto fell = std::chrono::steady_clock::now();
    driver_->command("xid 0 48");
    ASSERT_TRUE(kubeletHas(kResource, {"!" + gpu}));
    took = std::min(took, std::chrono::steady_clock::now() - fell);
  }
  RecordProperty("milliseconds", static_cast<int>(took / 1ms));
  EXPECT_LT(took, 1s);
  const auto status = offers_->status();
  ASSERT_EQ(status.resources.size(), 1U);
  EXPECT_THAT(status.resources[0].devices.at(0).reason, HasSubstr("Xid 48"));
  EXPECT_THAT(log_.text(), HasSubstr(gpu + ": unhealthy: "));
  // The driver says that nothing is to be done, and it stays quiet.
  clock_.advance(11s);
  EXPECT_TRUE(kubeletHas(kResource, {gpu}));
  EXPECT_TRUE(eventually([&] { return offers_->status().resources[0].devices[0].reason.empty(); }));
}

TEST_F(GpuOffersTest, AnIgnoredXidIsNoReason) {
  GpusConfig config;
  config.ignoreXids = {48};
  start("h100-one", config);
  ASSERT_TRUE(kubeletHas(kResource, {kGpu + "0"}));
  driver_->command("xid 0 48");
  ASSERT_TRUE(eventually([&] { return log_.text().find("Xid 48") != std::string::npos; }));
  EXPECT_TRUE(offers_->status().resources[0].devices[0].reason.empty());
}

TEST_F(GpuOffersTest, AGpuThatIsPulledIsUnhealthyAndTheOthersAreNot) {
  start("h100-eight");
  std::vector<std::string> all;
  for (const char index : std::string("01234567")) all.push_back(kGpu + index);
  ASSERT_TRUE(kubeletHas(kResource, all));
  driver_->command("unplug 7");
  all.back() = "!" + all.back();
  EXPECT_TRUE(kubeletHas(kResource, all));
}

TEST_F(GpuOffersTest, AReloadedDriverIsAskedAnew) {
  start("h100-one");
  ASSERT_TRUE(kubeletHas(kResource, {kGpu + "0"}));
  driver_->command("lose 0");
  ASSERT_TRUE(kubeletHas(kResource, {"!" + kGpu + "0"}));
  // With no healthy GPU it lets go between two looks, and another driver, with another GPU, can be
  // loaded.
  ASSERT_TRUE(
      eventually([&] { return driver_->tryCommand("load tests/fixtures/nvml/gb10-spark.json"); }));
  EXPECT_TRUE(
      kubeletHas(kResource, {"!" + kGpu + "0", "GPU-00000000-3000-4000-8000-000000000000"}));
  EXPECT_EQ(offers_->status().driver.version, "580.95.05");
}

TEST_F(GpuOffersTest, ADriverThatComesLaterIsFoundAndWithoutOneThereIsNoResource) {
  driver_ = std::make_unique<NvmlFixture>("gb10-spark");
  driver_->command("fail-init 9");
  start("gb10-spark");
  ASSERT_TRUE(eventually(
      [&] { return offers_->status().detail.find("driver is not loaded") != std::string::npos; }));
  EXPECT_EQ(offers_->status().offering, GpuOffering::kWaiting);
  EXPECT_THAT(rig_->kubelet().status().resources, IsEmpty());
  driver_->command("fail-init 0");
  EXPECT_TRUE(kubeletHas(kResource, {"GPU-00000000-3000-4000-8000-000000000000"}));
  EXPECT_EQ(offers_->status().offering, GpuOffering::kOffered);
}

TEST_F(GpuOffersTest, MixedMigDevicesAndReplicas) {
  GpusConfig config;
  config.resource.mig = gpu::MigStrategy::kMixed;
  config.resource.replicas = 2;
  start("mig-h100", config);
  EXPECT_TRUE(kubeletHas("nvidia.com/mig-1g.10gb",
                         {kMig + "1::0", kMig + "1::1", kMig + "2::0", kMig + "2::1"}));
  EXPECT_TRUE(kubeletHas("nvidia.com/mig-3g.40gb", {kMig + "0::0", kMig + "0::1"}));
  // An Xid of one MIG instance is that instance's alone.
  driver_->command("xid 0 94 9 0");
  EXPECT_TRUE(kubeletHas("nvidia.com/mig-1g.10gb",
                         {"!" + kMig + "1::0", "!" + kMig + "1::1", kMig + "2::0", kMig + "2::1"}));
  EXPECT_TRUE(kubeletHas("nvidia.com/mig-3g.40gb", {kMig + "0::0", kMig + "0::1"}));
}

TEST_F(GpuOffersTest, StandsBackWhereNvidiasPluginServesAndOffersWhenItIsGone) {
  auto foreign = os::UnixListener::open(paths_.kubeletPlugins + "/nvidia-gpu.sock");
  ASSERT_TRUE(foreign.has_value()) << foreign.error().describe();
  start("h100-one");
  EXPECT_EQ(offers_->status().offering, GpuOffering::kStandingBack);
  EXPECT_THAT(offers_->status().detail, HasSubstr("nvidia-gpu.sock"));
  EXPECT_EQ(driver_->sessions(), 0);
  // A moment without it is a restart of kubelet, not its end.
  foreign->close();
  offers_->look();
  EXPECT_EQ(offers_->status().offering, GpuOffering::kStandingBack);
  clock_.advance(31s);
  offers_->look();
  ASSERT_TRUE(kubeletHas(kResource, {kGpu + "0"}));
  // Another plugin of the same vendor's is none for GPUs.
  const auto rails = os::UnixListener::open(paths_.kubeletPlugins + "/nvidia.com_cx7_qsfp.sock");
  ASSERT_TRUE(rails.has_value());
  offers_->look();
  EXPECT_EQ(offers_->status().offering, GpuOffering::kOffered);
}

// What NVIDIA's plugin is to kubelet.
class ForeignPlugin final : public kube::ResourceHandler {
 public:
  explicit ForeignPlugin(const std::string& folder) {
    kube::DevicePluginOptions options;
    options.folder = folder;
    options.socket = "nvidia-gpu.sock";
    options.resource = kResource;
    server_ = std::move(*kube::DevicePluginServer::create(options, *this));
    EXPECT_TRUE(server_->setDevices({{"GPU-theirs", true, {}}}).has_value());
    EXPECT_TRUE(server_->start().has_value());
  }
  Result<kube::AllocateAnswer> allocate(const std::vector<std::string>&) override {
    return kube::AllocateAnswer();
  }
  Result<std::vector<std::string>> preferred(const std::vector<std::string>&,
                                             const std::vector<std::string>&,
                                             std::size_t) override {
    return std::vector<std::string>();
  }

 private:
  std::unique_ptr<kube::DevicePluginServer> server_;
};

// Kubelet makes a resource unhealthy when any stream of it ends, also that of the plugin which
// served it before.
TEST_F(GpuOffersTest, StandingBackLeavesNvidiasPluginItsGpus) {
  start("h100-one");
  ASSERT_TRUE(kubeletHas(kResource, {kGpu + "0"}));
  const ForeignPlugin foreign(paths_.kubeletPlugins);
  ASSERT_TRUE(kubeletHas(kResource, {"GPU-theirs"}));
  offers_->look();
  EXPECT_EQ(offers_->status().offering, GpuOffering::kStandingBack);
  EXPECT_THAT(offers_->status().resources, IsEmpty());
  EXPECT_EQ(driver_->sessions(), 0);
  EXPECT_FALSE(kubeletHas(kResource, {"!GPU-theirs"}, 200ms));
  EXPECT_TRUE(kubeletHas(kResource, {"GPU-theirs"}));
  // The next agent keeps the connection in our place.
  EXPECT_EQ(offers_->retire().size(), 1U);
}

// At boot the agent may be faster than NVIDIA's plugin.
TEST_F(GpuOffersTest, TheFirstOfferSinceTheBootWaitsForNvidiasPlugin) {
  start("h100-one", {}, true, 60s);
  EXPECT_EQ(offers_->status().offering, GpuOffering::kWaiting);
  EXPECT_THAT(offers_->status().detail, HasSubstr("another device plugin for GPUs may come"));
  clock_.advance(59s);
  EXPECT_TRUE(offers_->look()) << "look again soon";
  EXPECT_EQ(driver_->sessions(), 0);
  clock_.advance(1s);
  EXPECT_FALSE(offers_->look());
  ASSERT_TRUE(kubeletHas(kResource, {kGpu + "0"}));
  offers_->stop();
  // A restart of the agent waits for nobody.
  start("h100-one", {}, true, 60s);
  EXPECT_TRUE(kubeletHas(kResource, {kGpu + "0"}));
  offers_->stop();
  // The other came meanwhile, and the agent starts anew while that one is away for a moment.
  auto foreign = os::UnixListener::open(paths_.kubeletPlugins + "/nvidia-gpu.sock");
  ASSERT_TRUE(foreign.has_value());
  start("h100-one", {}, true, 60s);
  EXPECT_EQ(offers_->status().offering, GpuOffering::kStandingBack);
  offers_->stop();
  foreign->close();
  start("h100-one", {}, true, 60s);
  EXPECT_EQ(offers_->status().offering, GpuOffering::kWaiting);
  foreign = os::UnixListener::open(paths_.kubeletPlugins + "/nvidia-gpu.sock");
  offers_->look();
  EXPECT_EQ(offers_->status().offering, GpuOffering::kStandingBack);
}

// The usual cure of a MIG device with an Xid; the same layout gets the same UUIDs.
TEST_F(GpuOffersTest, AMigDeviceThatIsMadeAnewIsOfferedAnew) {
  GpusConfig config;
  config.resource.mig = gpu::MigStrategy::kMixed;
  start("mig-h100", config);
  const std::string small = "nvidia.com/mig-1g.10gb";
  ASSERT_TRUE(kubeletHas(small, {kMig + "1", kMig + "2"}));
  driver_->command("xid 0 94 9 0");
  ASSERT_TRUE(kubeletHas(small, {"!" + kMig + "1", kMig + "2"}));
  const std::string migChanged = "event 0 256";  // nvmlEventMigConfigChange
  driver_->command("set-mig 0 1 nvmlDeviceGetUUID \"" + kMig + "9\"");
  driver_->command(migChanged);
  ASSERT_TRUE(kubeletHas(small, {kMig + "2", kMig + "9"}));
  driver_->command("set-mig 0 1 nvmlDeviceGetUUID \"" + kMig + "1\"");
  driver_->command(migChanged);
  EXPECT_TRUE(kubeletHas(small, {kMig + "1", kMig + "2"})) << log_.text();
}

TEST_F(GpuOffersTest, SwitchedOffItLetsGoOfTheDriverSoThatAGpuCanBeReset) {
  start("h100-eight");
  ASSERT_TRUE(eventually([&] { return offers_->status().offering == GpuOffering::kOffered; }));
  EXPECT_FALSE(driver_->tryCommand("reset 0"));
  offers_->configure(false, {});
  EXPECT_EQ(offers_->status().offering, GpuOffering::kOff);
  EXPECT_EQ(driver_->sessions(), 0);
  EXPECT_TRUE(driver_->tryCommand("reset 0"));
  GpusConfig again;
  again.quiet = 0s;
  offers_->configure(true, again);
  EXPECT_TRUE(eventually([&] {
    const auto status = offers_->status();
    return !status.resources.empty() &&
           status.resources[0].state.phase == kube::PluginPhase::kRegistered &&
           status.resources[0].devices.size() == 8;
  }));
}

TEST_F(GpuOffersTest, KeepsCdiSpecificationAndLabelsFile) {
  GpusConfig config;
  config.resource.strategy = advertise::GpuListStrategy::kCdi;
  config.labelsFile = "/etc/kubernetes/node-feature-discovery/features.d/railhead";
  start("h100-recorded", config);
  const std::string spec = paths_.cdi + "/railhead-nvidia-gpu.json";
  const std::string gpu = "GPU-00000000-0000-4000-8000-000000000000";
  ASSERT_TRUE(kubeletHas(kResource, {gpu}));
  EXPECT_THAT(files_.readFile(spec).value_or(""), HasSubstr("\"" + gpu + "\""));
  EXPECT_THAT(files_.readFile(config.labelsFile).value_or(""),
              HasSubstr("nvidia.com/gpu.product=NVIDIA-H100-80GB-HBM3\n"));
  // NVIDIA's toolkit writes its own, fuller one: ours goes.
  files_.put(paths_.cdiStatic + "/nvidia.yaml",
             "kind: nvidia.com/gpu\ndevices: [{name: '0'}, {name: all}, {name: " + gpu + "}]\n");
  offers_->look();
  EXPECT_FALSE(files_.exists(spec));
  // Other replicas, another way: taken over without registering again.
  const auto registrations = rig_->kubelet().status().registrations;
  config.resource = {};
  config.resource.replicas = 2;
  offers_->configure(true, config);
  EXPECT_TRUE(kubeletHas(kResource, {gpu + "::0", gpu + "::1"}));
  EXPECT_EQ(rig_->kubelet().status().registrations, registrations);
  EXPECT_THAT(files_.readFile(config.labelsFile).value_or(""), HasSubstr("gpu.replicas=2\n"));
  offers_->configure(false, config);
  EXPECT_FALSE(files_.exists(config.labelsFile));
}

TEST_F(GpuOffersTest, AMigDeviceThatNoCdiSpecificationNamesIsWithheldUntilOneDoes) {
  GpusConfig config;
  config.resource.strategy = advertise::GpuListStrategy::kCdi;
  config.resource.mig = gpu::MigStrategy::kMixed;
  start("mig-h100", config);  // and /proc has no mig-minors
  ASSERT_TRUE(kubeletHas("nvidia.com/mig-3g.40gb", {"!" + kMig + "0"}));
  EXPECT_THAT(offers_->status().detail, HasSubstr("MIG device " + kMig + "0: no CDI"));
  files_.put(paths_.cdiStatic + "/nvidia.yaml",
             "kind: nvidia.com/gpu\ndevices: [{name: " + kMig + "0}]\n");
  offers_->look();
  EXPECT_TRUE(kubeletHas("nvidia.com/mig-3g.40gb", {kMig + "0"}));
}

}  // namespace
}  // namespace railhead::agent
