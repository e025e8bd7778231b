// What became of devices between two looks, as events. Not thread-safe; no I/O.
#pragma once

#include "src/agent/cluster/event_recorder.h"

#include <map>
#include <string>
#include <vector>

namespace railhead::agent {

struct DeviceHealth {
  std::string resource;  // "nvidia.com/cx7_qsfp"
  std::string id;
  std::string unhealthy;  // the reason; empty: healthy
};

class HealthNews {
 public:
  explicit HealthNews(std::string node) : node_(std::move(node)) {}
  // About the node: a device that is unhealthy now, for another reason than before, or is healthy
  // again. A device that was healthy when first seen, or is no longer there, is no news.
  std::vector<ClusterEvent> compare(const std::vector<DeviceHealth>& now);

 private:
  const std::string node_;
  std::map<std::string, std::string> known_;  // reason by "resource id"
};

}  // namespace railhead::agent
