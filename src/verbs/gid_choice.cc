#include "src/verbs/gid_choice.h"

namespace railhead::verbs {

Result<GidEntry> gidForAddress(const DeviceInfo& device, const IpAddress& address) {
  const Gid wanted = Gid::fromIp(address);
  std::string present;
  for (const GidEntry& entry : device.gids) {
    if (entry.type != GidType::kRoceV2) continue;
    if (entry.gid == wanted) return entry;
    present += (present.empty() ? "" : ", ") + entry.gid.ip().toString();
  }
  return Error(ErrorCode::kNotFound,
               device.name + " has no RoCE v2 GID for " + address.toString() + " (it has " +
                   (present.empty() ? "none" : present) + ")",
               "give the interface behind " + device.name + " this address and bring it up");
}

std::vector<GidEntry> localIpv4Gids(const DeviceInfo& device) {
  std::vector<GidEntry> out;
  for (const GidEntry& entry : device.gids) {
    if (entry.type == GidType::kRoceV2 && entry.local && !entry.gid.ip().v6) out.push_back(entry);
  }
  return out;
}

}  // namespace railhead::verbs
