// Which devices a node has, which are healthy and which pod holds which: kubelet's bookkeeping,
// without any protocol. Thread-compatible: its owner locks.
#pragma once

#include "lab/kubelet/pod.h"
#include "src/base/result.h"
#include "src/kube/device.h"

#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace railhead::lab {

struct ResourceStatus {
  std::size_t capacity = 0;     // known devices
  std::size_t allocatable = 0;  // healthy ones, held or not
  std::size_t free = 0;         // healthy and held by nobody
  std::size_t fewest = 0;       // the least that `allocatable` was since kubelet's start
  bool connected = false;       // its plugin's ListAndWatch stream is open
  double listedAt = 0;          // when the plugin's last list came, seconds since boot
  std::vector<kube::Device> devices;
  std::map<std::string, std::string> holders;  // device -> "namespace/pod"
};

class DeviceLedger {
 public:
  // A plugin's whole list replaces what was known. `at`: seconds since boot.
  void setDevices(const std::string& resource, const std::vector<kube::Device>& devices,
                  double at = 0);
  void setConnected(const std::string& resource, bool connected);
  // The plugin is gone: its devices stay known, none is healthy.
  void markUnhealthy(const std::string& resource);
  // A restarted kubelet knows what pods hold and which resources there were, but no devices.
  void forgetDevices();

  // Healthy devices nobody holds, sorted. kExhausted says how many were asked and how many there
  // are.
  Result<std::vector<std::string>> available(const PodName& pod, const std::string& resource,
                                             int count) const;
  // `preferred` first as far as it is available, then the rest of `available` in order.
  static std::vector<std::string> choose(const std::vector<std::string>& available,
                                         const std::vector<std::string>& preferred, int count);
  void hold(const PodName& pod, const std::string& resource, const std::vector<std::string>& ids);
  void release(const PodName& pod);

  std::map<std::string, ResourceStatus> status() const;
  // What the device's own plugin last said of it; nothing when it is not known now.
  std::optional<kube::Device> find(const std::string& resource, const std::string& id) const;

 private:
  struct Resource {
    std::map<std::string, kube::Device> devices;
    std::map<std::string, PodName> holders;
    bool connected = false;
    double listedAt = 0;
    std::optional<std::size_t> fewest;
  };
  static void count(Resource& resource);  // after every change of devices
  std::map<std::string, Resource> resources_;
};

}  // namespace railhead::lab
