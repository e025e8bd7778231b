// Device information files of the devices that we offer (attach/device_info.h), for whoever
// attaches them to pods: Multus tells the pod what they say. A node without them works all the
// same, so nothing here is an Error; what cannot be written is logged once and tried again.
#pragma once

#include "src/attach/device_info.h"
#include "src/os/filesystem.h"
#include "src/os/log.h"

#include <map>
#include <string>
#include <utility>

namespace railhead::agent {

// By id; of a rail set, its first rail: the format has room for one.
using DescribedDevices = std::map<std::string, attach::DeviceInfo>;

// One thread at a time.
class DeviceFiles {
 public:
  // `folder`: HostPaths::deviceInfo. `files` and `log` outlive it.
  DeviceFiles(os::Filesystem& files, const std::string& folder, os::Log& log)
      : folder_(files, folder), log_(log) {}

  // By resource. Writes what is new or different, and removes what is not among them: of these
  // resources also what an agent that was killed left.
  void keep(const std::map<std::string, DescribedDevices>& resources);
  void removeAll();  // those that keep() wrote

 private:
  using Key = std::pair<std::string, std::string>;  // resource, id
  Result<void> write(const Key& key, const attach::DeviceInfo& info);

  attach::DeviceInfoFolder folder_;
  os::Log& log_;
  std::map<Key, std::string> written_;
  bool looked_ = false;    // for what an earlier agent left
  std::string complaint_;  // the last one
};

}  // namespace railhead::agent
