// The resources that the agent offers to kubelet, each with its server. Thread-safe.
#pragma once

#include "src/advertise/cdi.h"
#include "src/advertise/rail_resource.h"
#include "src/advertise/resource.h"
#include "src/agent/device_files.h"
#include "src/agent/held_connections.h"
#include "src/agent/observe/threads.h"
#include "src/discover/node.h"
#include "src/kube/device_plugin_server.h"
#include "src/os/filesystem.h"
#include "src/os/host_paths.h"
#include "src/os/log.h"

#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

namespace railhead::agent {

struct OfferStatus {
  std::string resource;
  kube::PluginState state;
  advertise::Inventory inventory;
};

// All outlive the offers.
struct OfferSeams {
  os::Filesystem& files;
  os::Log& log;
  advertise::CdiFolder& cdi;
  WatchedThreads& threads;
  advertise::NumaTrail& trail;
  advertise::SoftRoceQuestion softRoce;
  advertise::ProfileQuestion profile;
};

class Offers {
 public:
  Offers(os::HostPaths paths, OfferSeams seams)
      : paths_(std::move(paths)),
        seams_(std::move(seams)),
        files_(seams_.files, paths_.deviceInfo, seams_.log) {}
  ~Offers() { stop(); }

  // Makes the servers for these resources: one that was there keeps serving, one that is no longer
  // named stops, a new one starts at once after start(). An Error changes nothing.
  Result<void> configure(const std::vector<advertise::RailResourceConfig>& resources);
  Result<void> start();  // again after an Error: those that serve already go on
  void stop();
  // Another agent offers them from here on: kubelet's connections, to be kept open.
  std::vector<KeptConnection> retire();
  // Until kubelet watches every resource, or the deadline.
  void awaitWatched(os::Deadline deadline) const;
  void registerAgain();  // kubelet may have lost what it was told
  // After stop(), unless another agent offers the same: nothing of ours describes them any more.
  void forget();

  // What the node has now; what became unhealthy or well again is logged. kubelet is told of
  // differences only: it writes a checkpoint for every list it gets. CDI specifications are written
  // before kubelet hears of what they specify, and a device that none can be written for is told as
  // unhealthy; they stay when the agent stops, since containers of running pods are restarted with
  // them. While started, each device has its device information file.
  Result<void> update(const advertise::RailPicture& picture);

  std::vector<OfferStatus> statuses() const;

 private:
  struct Offer {
    advertise::RailResource resource;
    std::unique_ptr<kube::DevicePluginServer> server;
    std::vector<kube::Device> told;  // what kubelet knows
    bool serving = false;
    bool remembers = false;          // what an earlier agent specified was read
    advertise::CdiSpec specified;    // what is written
    std::set<std::string> withheld;  // reasons that were logged

    Offer(advertise::RailResourceConfig config, const std::string& dev, const OfferSeams& seams)
        : resource(std::move(config), dev, &seams.trail, seams.softRoce, seams.profile) {}
  };
  Result<std::shared_ptr<Offer>> makeOffer(const advertise::RailResourceConfig& config);
  static Result<void> startOne(Offer& offer);
  // With mutex_ held.
  Result<void> writeCdi(Offer& offer);
  void tellHealth(Offer& offer, const advertise::Inventory& before);
  void describe();

  std::vector<std::shared_ptr<Offer>> offers() const {
    const std::lock_guard lock(mutex_);
    return offers_;
  }

  const os::HostPaths paths_;
  const OfferSeams seams_;
  DeviceFiles files_;       // with mutex_
  std::mutex configuring_;  // start, stop and configure against each other; taken first
  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<Offer>> offers_;
  bool started_ = false;
};

}  // namespace railhead::agent
