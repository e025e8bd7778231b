// Reads a device's attributes, port 1 and GID table.
#include "src/verbs/ibv_handles.h"

#include <algorithm>
#include <cerrno>
#include <map>
#include <vector>

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

namespace railhead::verbs {
namespace {

constexpr std::uint32_t kRxeVendorId = 0xffffff;
constexpr std::size_t kMaxGids = 1024;

struct LocalAddress {
  std::string netdev;
  IpAddress address;
  int prefixLength = 0;
};

IpAddress fromSockaddr(const sockaddr& raw) {
  IpAddress out;
  if (raw.sa_family == AF_INET) {
    const auto& in = reinterpret_cast<const sockaddr_in&>(raw);
    std::copy_n(reinterpret_cast<const std::uint8_t*>(&in.sin_addr), 4, out.bytes.begin());
  } else {
    const auto& in = reinterpret_cast<const sockaddr_in6&>(raw);
    std::copy_n(in.sin6_addr.s6_addr, 16, out.bytes.begin());
    out.v6 = true;
  }
  return out;
}

Result<std::vector<LocalAddress>> localAddresses() {
  ifaddrs* raw = nullptr;
  if (::getifaddrs(&raw) != 0) return Error::fromErrno(errno, "list network addresses");
  const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> list(raw, ::freeifaddrs);
  std::vector<LocalAddress> out;
  for (const ifaddrs* each = raw; each != nullptr; each = each->ifa_next) {
    if (each->ifa_addr == nullptr || each->ifa_netmask == nullptr) continue;
    const int family = each->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6) continue;
    LocalAddress address{each->ifa_name, fromSockaddr(*each->ifa_addr), 0};
    // The netmask's own family field is not filled everywhere; its bytes are.
    sockaddr_storage mask{};
    std::copy_n(reinterpret_cast<const char*>(each->ifa_netmask),
                family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6),
                reinterpret_cast<char*>(&mask));
    mask.ss_family = static_cast<sa_family_t>(family);
    for (const std::uint8_t byte : fromSockaddr(reinterpret_cast<const sockaddr&>(mask)).bytes) {
      address.prefixLength += __builtin_popcount(byte);
    }
    out.push_back(std::move(address));
  }
  return out;
}

int mtuBytes(ibv_mtu mtu) { return mtu >= IBV_MTU_256 && mtu <= IBV_MTU_4096 ? 128 << mtu : 0; }

BitRate portRate(const ibv_port_attr& port) {
  static const std::map<int, double> kLanes{{1, 1}, {2, 4}, {4, 8}, {8, 12}, {16, 2}};
  // Data rate of one lane in Gb/s, after line coding (InfiniBand architecture, PortInfo).
  static const std::map<int, double> kSpeeds{{1, 2.5},      {2, 5},   {4, 10},  {8, 10},
                                             {16, 14.0625}, {32, 25}, {64, 50}, {128, 100}};
  const auto lanes = kLanes.find(port.active_width);
  const auto speed = kSpeeds.find(port.active_speed);
  if (lanes == kLanes.end() || speed == kSpeeds.end()) return {};
  return {lanes->second * speed->second * 1e9};
}

PortState portState(ibv_port_state state) {
  switch (state) {
    case IBV_PORT_DOWN:
      return PortState::kDown;
    case IBV_PORT_INIT:
      return PortState::kInitializing;
    case IBV_PORT_ARMED:
      return PortState::kArmed;
    case IBV_PORT_ACTIVE:
    case IBV_PORT_ACTIVE_DEFER:
      return PortState::kActive;
    default:
      return PortState::kUnknown;
  }
}

LinkLayer linkLayer(std::uint8_t value) {
  if (value == IBV_LINK_LAYER_ETHERNET) return LinkLayer::kEthernet;
  return value == IBV_LINK_LAYER_INFINIBAND ? LinkLayer::kInfiniband : LinkLayer::kUnknown;
}

GidEntry toEntry(const ibv_gid_entry& raw, const std::vector<LocalAddress>& addresses) {
  GidEntry entry;
  entry.index = raw.gid_index;
  std::copy_n(raw.gid.raw, 16, entry.gid.bytes.begin());
  if (raw.gid_type == IBV_GID_TYPE_ROCE_V1) entry.type = GidType::kRoceV1;
  if (raw.gid_type == IBV_GID_TYPE_ROCE_V2) entry.type = GidType::kRoceV2;
  char name[IF_NAMESIZE] = {};
  if (raw.ndev_ifindex != 0 && ::if_indextoname(raw.ndev_ifindex, name) != nullptr) {
    entry.netdev = name;
  }
  // An interface index means nothing outside its namespace: only index and address together say
  // that the device behind this GID is here.
  const IpAddress ip = entry.gid.ip();
  for (const LocalAddress& address : addresses) {
    if (address.address != ip || address.netdev != entry.netdev) continue;
    entry.local = true;
    entry.prefixLength = address.prefixLength;
  }
  if (!entry.local) entry.netdev.clear();
  return entry;
}

}  // namespace

Result<DeviceInfo> queryDevice(ibv_context& context) {
  DeviceInfo info;
  info.name = ibv_get_device_name(context.device);
  ibv_device_attr device{};
  if (const int code = ibv_query_device(&context, &device); code != 0) {
    return Error::fromErrno(code, "query " + info.name);
  }
  ibv_port_attr port{};
  if (const int code = ibv_query_port(&context, kPort, &port); code != 0) {
    return Error::fromErrno(code, "query port 1 of " + info.name);
  }
  info.firmware = device.fw_ver;
  info.vendorId = device.vendor_id;
  info.partId = device.vendor_part_id;
  // How many it answers, and how many it asks.
  info.maxReadsInFlight = std::max(1, std::min(device.max_qp_rd_atom, device.max_qp_init_rd_atom));
  info.software = device.vendor_id == kRxeVendorId;
  info.state = portState(port.state);
  info.linkLayer = linkLayer(port.link_layer);
  info.activeMtu = mtuBytes(port.active_mtu);
  info.maxMtu = mtuBytes(port.max_mtu);
  info.portRate = portRate(port);
  std::vector<ibv_gid_entry> table(std::clamp<std::size_t>(
      static_cast<std::size_t>(std::max(port.gid_tbl_len, 1)), 1, kMaxGids));
  const ssize_t count = ibv_query_gid_table(&context, table.data(), table.size(), 0);
  if (count < 0) {
    return Error::fromErrno(static_cast<int>(-count), "read the GID table of " + info.name);
  }
  RAILHEAD_TRY_ASSIGN(const auto addresses, localAddresses());
  for (ssize_t i = 0; i < count; ++i) {
    const ibv_gid_entry& raw = table[static_cast<std::size_t>(i)];
    if (raw.port_num == kPort) info.gids.push_back(toEntry(raw, addresses));
  }
  return info;
}

}  // namespace railhead::verbs
