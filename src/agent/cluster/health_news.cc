#include "src/agent/cluster/health_news.h"

namespace railhead::agent {

std::vector<ClusterEvent> HealthNews::compare(const std::vector<DeviceHealth>& now) {
  std::vector<ClusterEvent> news;
  std::map<std::string, std::string> seen;
  for (const auto& device : now) {
    const std::string name = device.resource + " " + device.id;
    seen[name] = device.unhealthy;
    const auto before = known_.find(name);
    const std::string reason = before == known_.end() ? std::string() : before->second;
    if (reason == device.unhealthy) continue;
    ClusterEvent event;
    event.subject = nodeSubject(node_);
    event.warning = !device.unhealthy.empty();
    event.reason = event.warning ? "DeviceUnhealthy" : "DeviceHealthy";
    event.action = "Advertise";
    event.note = name + (event.warning ? " is unhealthy: " + device.unhealthy
                                       : " is healthy again, it was: " + reason);
    news.push_back(std::move(event));
  }
  known_ = std::move(seen);
  return news;
}

}  // namespace railhead::agent
