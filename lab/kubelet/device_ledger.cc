#include "lab/kubelet/device_ledger.h"

#include <algorithm>

namespace railhead::lab {

void DeviceLedger::setDevices(const std::string& resource, const std::vector<kube::Device>& devices,
                              double at) {
  resources_[resource].listedAt = at;
  auto& known = resources_[resource].devices;
  known.clear();
  for (const auto& device : devices) known[device.id] = device;
  count(resources_[resource]);
}

void DeviceLedger::count(Resource& resource) {
  const auto healthy = static_cast<std::size_t>(
      std::count_if(resource.devices.begin(), resource.devices.end(),
                    [](const auto& entry) { return entry.second.healthy; }));
  resource.fewest = std::min(resource.fewest.value_or(healthy), healthy);
}

void DeviceLedger::setConnected(const std::string& resource, bool connected) {
  resources_[resource].connected = connected;
}

void DeviceLedger::markUnhealthy(const std::string& resource) {
  for (auto& [id, device] : resources_[resource].devices) device.healthy = false;
  count(resources_[resource]);
}

void DeviceLedger::forgetDevices() {
  for (auto& [name, resource] : resources_) {
    resource.devices.clear();
    resource.connected = false;
    resource.fewest.reset();
  }
}

Result<std::vector<std::string>> DeviceLedger::available(const PodName& pod,
                                                         const std::string& resource,
                                                         int count) const {
  const auto found = resources_.find(resource);
  if (found == resources_.end()) {
    return Error(ErrorCode::kExhausted,
                 "pod " + pod.text() + " waits: no device plugin offers " + resource);
  }
  std::vector<std::string> free;
  std::size_t healthy = 0;
  for (const auto& [id, device] : found->second.devices) {
    if (!device.healthy) continue;
    ++healthy;
    if (!found->second.holders.contains(id)) free.push_back(id);
  }
  if (free.size() < static_cast<std::size_t>(count)) {
    return Error(ErrorCode::kExhausted, "pod " + pod.text() + " waits: " + std::to_string(count) +
                                            " " + resource + " asked, " +
                                            std::to_string(free.size()) + " of " +
                                            std::to_string(healthy) + " healthy ones are free");
  }
  return free;
}

std::vector<std::string> DeviceLedger::choose(const std::vector<std::string>& available,
                                              const std::vector<std::string>& preferred,
                                              int count) {
  std::vector<std::string> chosen;
  const std::set<std::string> offered(available.begin(), available.end());
  const auto take = [&](const std::vector<std::string>& from) {
    for (const auto& id : from) {
      if (chosen.size() == static_cast<std::size_t>(count)) return;
      const bool taken = std::find(chosen.begin(), chosen.end(), id) != chosen.end();
      if (offered.contains(id) && !taken) chosen.push_back(id);
    }
  };
  take(preferred);
  take(available);
  return chosen;
}

void DeviceLedger::hold(const PodName& pod, const std::string& resource,
                        const std::vector<std::string>& ids) {
  for (const auto& id : ids) resources_[resource].holders[id] = pod;
}

void DeviceLedger::release(const PodName& pod) {
  for (auto& [name, resource] : resources_) {
    std::erase_if(resource.holders, [&](const auto& held) { return held.second == pod; });
  }
}

std::map<std::string, ResourceStatus> DeviceLedger::status() const {
  std::map<std::string, ResourceStatus> all;
  for (const auto& [name, resource] : resources_) {
    ResourceStatus& status = all[name];
    status.connected = resource.connected;
    status.listedAt = resource.listedAt;
    status.capacity = resource.devices.size();
    status.fewest = resource.fewest.value_or(0);
    for (const auto& [id, device] : resource.devices) {
      status.devices.push_back(device);
      if (!device.healthy) continue;
      ++status.allocatable;
      if (!resource.holders.contains(id)) ++status.free;
    }
    for (const auto& [id, pod] : resource.holders) status.holders[id] = pod.text();
  }
  return all;
}

std::optional<kube::Device> DeviceLedger::find(const std::string& resource,
                                               const std::string& id) const {
  const auto found = resources_.find(resource);
  if (found == resources_.end()) return std::nullopt;
  const auto device = found->second.devices.find(id);
  if (device == found->second.devices.end()) return std::nullopt;
  return device->second;
}

}  // namespace railhead::lab
