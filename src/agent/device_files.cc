#include "src/agent/device_files.h"

#include <iterator>
#include <set>

namespace railhead::agent {

Result<void> DeviceFiles::write(const Key& key, const attach::DeviceInfo& info) {
  std::string text = attach::encodeDeviceInfo(info);
  const auto known = written_.find(key);
  if (known != written_.end() && known->second == text) return {};
  RAILHEAD_TRY(folder_.writeForDevice(key.first, key.second, info));
  written_[key] = std::move(text);
  return {};
}

void DeviceFiles::keep(const std::map<std::string, DescribedDevices>& resources) {
  std::string complaint;
  const auto note = [&](const Result<void>& done) {
    if (!done.has_value()) complaint = done.error().describe();
  };
  const bool first = !std::exchange(looked_, true);
  std::set<Key> wanted;
  for (const auto& [resource, devices] : resources) {
    std::set<std::string> ids;
    for (const auto& [id, info] : devices) {
      ids.insert(id);
      wanted.insert({resource, id});
      note(write({resource, id}, info));
    }
    if (first) note(folder_.removeOtherDevices(resource, ids));
  }
  for (auto it = written_.begin(); it != written_.end();) {
    const bool stays = wanted.contains(it->first) ||
                       !folder_.removeForDevice(it->first.first, it->first.second).has_value();
    it = stays ? std::next(it) : written_.erase(it);
  }
  if (!complaint.empty() && complaint != complaint_) log_.warning("advertise", complaint);
  complaint_ = std::move(complaint);
}

void DeviceFiles::removeAll() {
  for (const auto& [key, text] : written_)
    static_cast<void>(folder_.removeForDevice(key.first, key.second));
  written_.clear();
  looked_ = false;
}

}  // namespace railhead::agent
