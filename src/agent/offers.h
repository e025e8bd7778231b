// The resources that the agent offers to kubelet, each with its server. Thread-safe.
#pragma once

#include "src/advertise/cdi.h"
#include "src/advertise/rail_resource.h"
#include "src/advertise/resource.h"
#include "src/agent/device_files.h"
#include "src/agent/observe/threads.h"
#include "src/discover/node.h"
#include "src/kube/device_plugin_server.h"
#include "src/os/filesystem.h"
#include "src/os/host_paths.h"
#include "src/os/log.h"

#include <memory>
#include <mutex>
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
  advertise::SoftRoceQuestion softRoce;
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
  Result<void> start();
  void stop();
  // After stop(), unless another agent offers the same: nothing of ours describes them any more.
  void forget();

  // What the node has now. kubelet is told of differences only: it writes a checkpoint for every
  // list it gets. CDI specifications are written before kubelet hears of what they specify; they
  // stay when the agent stops, since containers of running pods are restarted with them. While
  // started, each device has its device information file.
  Result<void> update(const discover::Node& node, const std::vector<discover::RailSet>& sets);

  std::vector<OfferStatus> statuses() const;

 private:
  struct Offer {
    advertise::RailResource resource;
    std::unique_ptr<kube::DevicePluginServer> server;
    std::vector<kube::Device> told;  // what kubelet knows
    bool remembers = false;          // what an earlier agent specified was read

    Offer(advertise::RailResourceConfig config, const std::string& dev,
          advertise::SoftRoceQuestion softRoce)
        : resource(std::move(config), dev, std::move(softRoce)) {}
  };
  Result<std::shared_ptr<Offer>> makeOffer(const advertise::RailResourceConfig& config);
  void describe();  // with mutex_ held

  const os::HostPaths paths_;
  const OfferSeams seams_;
  DeviceFiles files_;       // with mutex_
  std::mutex configuring_;  // start, stop and configure against each other; taken first
  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<Offer>> offers_;
  bool started_ = false;
};

}  // namespace railhead::agent
