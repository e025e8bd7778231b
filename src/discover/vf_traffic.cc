#include "src/discover/vf_traffic.h"

#include <algorithm>

namespace railhead::discover {

VfTrafficReport readVfTraffic(netlink::NetlinkOpener& netlink, const Node& node,
                              std::chrono::steady_clock::time_point deadline) {
  VfTrafficReport report;
  const bool any =
      std::any_of(node.pfs.begin(), node.pfs.end(), [](const Pf& pf) { return !pf.vfs.empty(); });
  if (!any) return report;
  const auto links = netlink.openLinks(nullptr);
  if (!links.has_value()) return report;
  for (const auto& pf : node.pfs) {
    if (pf.vfs.empty() || pf.netdev.empty()) continue;
    if (std::chrono::steady_clock::now() >= deadline) {
      report.cut = true;
      break;
    }
    const auto link = (*links)->link(pf.netdev);
    if (!link.has_value()) continue;
    const auto counted = (*links)->vfTraffic(link->index);
    if (!counted.has_value()) continue;
    for (const auto& vf : pf.vfs) {
      const auto found = std::find_if(counted->begin(), counted->end(),
                                      [&](const auto& one) { return one.vf == vf.index; });
      if (found != counted->end()) report.vfs.push_back({pf.netdev, vf.pci, vf.index, *found});
    }
  }
  return report;
}

}  // namespace railhead::discover
