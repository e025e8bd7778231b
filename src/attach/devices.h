// Which rail sets a pod holds. The agent implements both interfaces: PodDevices over kubelet's
// pod-resources socket, RailCatalog over the discovered node.
#pragma once

#include "src/attach/networks.h"
#include "src/base/result.h"
#include "src/discover/node.h"

#include <map>
#include <string>
#include <vector>

namespace railhead::attach {

// Implementations are thread-safe.
class PodDevices {
 public:
  virtual ~PodDevices() = default;
  // The ids of all devices that the pod's containers hold, by resource, in a stable order.
  // kUnavailable when kubelet cannot be asked.
  using Held = std::map<std::string, std::vector<std::string>>;
  virtual Result<Held> heldBy(const std::string& podNamespace, const std::string& pod) = 0;
};

// Implementations are thread-safe and answer from memory.
class RailCatalog {
 public:
  virtual ~RailCatalog() = default;
  virtual std::vector<discover::RailSet> railSets() = 0;
  // Every VF as a set of one, also where its twin has none.
  virtual std::vector<discover::RailSet> singleRails() = 0;
};

// The rail set with this id, or a set of one made of the single VF with this PCI address (a device
// of another device plugin). kNotFound names the id.
Result<discover::RailSet> findRailSet(RailCatalog& catalog, const std::string& id);

// One network with the device it got.
struct NetworkChoice {
  NetworkSelection selection;
  Network network;
  discover::RailSet rails;  // when the network has rails
  std::string heldDevice;   // else: the device of the network's resource, as kubelet calls it
  std::string deviceId;     // ... and as its plugins are told; both empty when the pod holds none
};

struct DeviceQuestion {
  std::string podNamespace;
  std::string pod;
};

// What a plugin that is not ours is told of a device: the PCI address of a rail set's first VF, any
// other id as it is.
std::string deviceForPlugin(const std::string& id);

// Looks every selection up and gives each one a device of its own: the k-th network of a resource
// takes the pod's k-th device. kExhausted when the pod holds fewer devices than it names networks
// with rails; a plugin that is not ours may do without.
Result<std::vector<NetworkChoice>> chooseDevices(const std::vector<NetworkSelection>& selections,
                                                 const DeviceQuestion& pod,
                                                 NetworkCatalog& networks, PodDevices& devices,
                                                 RailCatalog& catalog);

}  // namespace railhead::attach
