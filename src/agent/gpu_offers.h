// The GPUs that the agent offers to kubelet: watches the driver, keeps the resources and their
// health, the CDI specification and the labels' file. On a machine without a GPU driver it waits
// for one and offers nothing. Where NVIDIA's own device plugin serves, it stands back; so that the
// two do not meet, the first offer since the boot waits for a while whether that one comes.
// Thread-safe.
#pragma once

#include "src/advertise/cdi.h"
#include "src/advertise/gpu_resource.h"
#include "src/agent/config_gpus.h"
#include "src/agent/held_connections.h"
#include "src/agent/observe/threads.h"
#include "src/gpu/gpu.h"
#include "src/gpu/gpu_events.h"
#include "src/kube/device_plugin_server.h"
#include "src/os/clock.h"
#include "src/os/filesystem.h"
#include "src/os/host_paths.h"
#include "src/os/log.h"

#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace railhead::agent {

struct GpuDeviceStatus {
  advertise::GpuUnit unit;
  std::string reason;  // empty: healthy
};

struct GpuResourceStatus {
  std::string resource;
  kube::PluginState state;
  unsigned replicas = 1;
  std::vector<GpuDeviceStatus> devices;
};

enum class GpuOffering { kOff, kWaiting, kOffered, kStandingBack };
const char* gpuOfferingName(GpuOffering offering);  // "off", "waiting", "offered", "standing-back"

struct GpuStatus {
  GpuOffering offering = GpuOffering::kOff;
  std::string detail;  // why it is not offered, in one line
  gpu::DriverInfo driver;
  std::vector<GpuResourceStatus> resources;
};

// All outlive it.
struct GpuSeams {
  gpu::GpuLibrary& library;
  os::Filesystem& files;
  os::Clock& clock;
  os::Log& log;
  advertise::CdiFolder& cdi;
  WatchedThreads* threads = nullptr;
  advertise::NumaTrail* trail = nullptr;
};

class GpuOffers {
 public:
  GpuOffers(os::HostPaths paths, GpuSeams seams, gpu::GpuWatchOptions options = {});
  ~GpuOffers() { stop(); }

  // `on`: functions.gpus. May be called while started; off lets go of the driver, so that a GPU can
  // be reset or the driver replaced.
  void configure(bool on, GpusConfig config);
  void start();  // asks the driver, which can take seconds the first time; returns at once
  // Until the driver has answered for the first time.
  void awaitDriver(std::chrono::milliseconds patience);
  void serve();  // what start() found goes to kubelet, and what is found from now on
  void stop();   // idempotent; files stay

  // Another agent offers them from here on: kubelet's connections, to be kept open.
  std::vector<KeptConnection> retire();
  // Until kubelet watches every resource, or the deadline.
  void awaitWatched(os::Deadline deadline) const;
  void registerAgain();  // kubelet may have lost what it was told

  // To be called now and then: NVIDIA's plugin may have come or gone, somebody may have cleared the
  // CDI folder or written a specification. True: to be called again soon.
  bool look();

  GpuStatus status() const;
  // Those of gpu-feature-discovery while GPUs are offered.
  std::map<std::string, std::string> labels() const;

 private:
  struct Offer {
    advertise::GpuResource resource;
    std::unique_ptr<kube::DevicePluginServer> server;
    std::vector<kube::Device> told;
    bool serving = false;
    Offer(std::string name, const std::string& dev, advertise::NumaTrail* trail)
        : resource(std::move(name), dev, trail) {}
  };

  enum class Leaving { kHangUp, kRetire };
  struct Retired {
    std::shared_ptr<Offer> offer;
    std::vector<os::UniqueFd> connections;
  };
  // With lifecycle_ held.
  void run();                  // watches and offers, unless off, waiting or standing back
  void halt(Leaving leaving);  // the reverse; known GPUs are forgotten
  void standBack(const std::string& socket);
  GpuOffering offering() const {
    const std::lock_guard lock(mutex_);
    return offering_;
  }
  bool waitsForOthers();
  void dropRetired();
  std::string claim() const { return paths_.state + "/gpus-offered"; }
  void withdrawFiles();
  // From the watcher's thread.
  void onDevicesChanged();
  void onHealth(const gpu::HealthChange& change);
  void onProblem(const std::string& line);
  // With mutex_ held.
  void takeIn(gpu::GpuInventory inventory);
  void publish();
  Offer* offerOf(const std::string& resource);  // null: it cannot be made; logged
  void tell(Offer& offer);
  void writeCdi();
  void writeLabels();
  std::map<std::string, std::string> knownLabels() const;
  void logOnce(const std::string& key, const Result<void>& done);

  const os::HostPaths paths_;
  const GpuSeams seams_;
  const gpu::GpuWatchOptions options_;

  std::mutex lifecycle_;  // of the watcher and the servers: start, stop, configure, look
  bool started_ = false;
  std::unique_ptr<gpu::GpuWatcher> watcher_;
  std::optional<os::Clock::TimePoint> foreignSeen_;
  std::optional<os::Clock::TimePoint> quietSince_;
  // Their streams must not end while kubelet lives: NVIDIA's plugin serves the resource.
  std::vector<Retired> retired_;

  mutable std::mutex mutex_;  // of what follows; taken after lifecycle_
  std::condition_variable answeredChanged_;
  bool answered_ = false;  // the driver, for the first time: with GPUs, or that there is none
  bool serving_ = false;
  bool on_ = false;
  GpusConfig config_;
  GpuOffering offering_ = GpuOffering::kOff;
  std::string detail_;
  gpu::GpuInventory inventory_;  // one that the driver lost stays, until the agent ends
  advertise::GpuOffer offer_;
  std::map<std::string, std::string> reasons_;
  std::vector<std::shared_ptr<Offer>> offers_;
  std::map<std::string, std::string> failures_;
};

}  // namespace railhead::agent
