#include "src/netlink/codec.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include <linux/fib_rules.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/rtnetlink.h>
#include <rdma/rdma_netlink.h>

namespace railhead::netlink {
namespace {

template <typename T>
T readAs(Bytes data) {
  T value{};
  if (data.size() >= sizeof(T)) std::memcpy(&value, data.data(), sizeof(T));
  return value;
}

Error tooShort(std::string_view what) {
  return Error(ErrorCode::kCorrupt,
               "netlink: the kernel's " + std::string(what) + " message is too short");
}

Mac macFrom(Bytes data) {
  Mac mac;
  if (data.size() >= mac.bytes.size())
    std::copy_n(data.begin(), mac.bytes.size(), mac.bytes.begin());
  return mac;
}

constexpr std::size_t aligned(std::size_t length) { return (length + 3) & ~std::size_t{3}; }

VfLinkState linkStateFrom(std::uint32_t value) {
  if (value == IFLA_VF_LINK_STATE_ENABLE) return VfLinkState::kEnable;
  if (value == IFLA_VF_LINK_STATE_DISABLE) return VfLinkState::kDisable;
  return VfLinkState::kAuto;
}

void readVlans(Bytes list, VfSettings& vf) {
  forEachAttribute(list, [&](const Attribute& entry) {
    if (entry.type != IFLA_VF_VLAN_INFO) return;
    const auto info = readAs<ifla_vf_vlan_info>(entry.data);
    vf.vlan = static_cast<int>(info.vlan);
    vf.vlanQos = static_cast<int>(info.qos);
    vf.vlanProtocol = static_cast<std::uint16_t>(info.vlan_proto << 8 | info.vlan_proto >> 8);
  });
}

VfSettings readVf(Bytes info) {
  VfSettings vf;
  forEachAttribute(info, [&](const Attribute& a) {
    switch (a.type) {
      case IFLA_VF_MAC:
        vf.index = static_cast<int>(readAs<ifla_vf_mac>(a.data).vf);
        if (a.data.size() > 4) vf.mac = macFrom(a.data.subspan(4));
        break;
      case IFLA_VF_VLAN_LIST:
        readVlans(a.data, vf);
        break;
      case IFLA_VF_SPOOFCHK:
        // All ones: the driver has no such setting.
        vf.spoofCheck = readAs<ifla_vf_spoofchk>(a.data).setting == 1;
        break;
      case IFLA_VF_TRUST:
        vf.trust = readAs<ifla_vf_trust>(a.data).setting == 1;
        break;
      case IFLA_VF_LINK_STATE:
        vf.linkState = linkStateFrom(readAs<ifla_vf_link_state>(a.data).link_state);
        break;
      case IFLA_VF_RATE: {
        const auto rate = readAs<ifla_vf_rate>(a.data);
        vf.minTxRate = static_cast<int>(rate.min_tx_rate);
        vf.maxTxRate = static_cast<int>(rate.max_tx_rate);
        break;
      }
      default:
        break;
    }
  });
  return vf;
}

// IFLA_AF_SPEC holds for each family what is set there; for IPv4 an array of 32-bit settings.
bool readStrictArp(Bytes families) {
  bool strict = false;
  forEachAttribute(families, [&](const Attribute& family) {
    if (family.type != AF_INET) return;
    forEachAttribute(family.data, [&](const Attribute& settings) {
      constexpr std::size_t kAt = (IPV4_DEVCONF_ARP_IGNORE - 1) * sizeof(std::uint32_t);
      if (settings.type != IFLA_INET_CONF || settings.data.size() < kAt + 4) return;
      strict = readAs<std::uint32_t>(settings.data.subspan(kAt)) == 1;
    });
  });
  return strict;
}

// Nothing when all is zero.
std::optional<VfTraffic> readVfTraffic(Bytes info) {
  VfTraffic traffic;
  std::uint64_t any = 0;
  const auto readStats = [&](Bytes stats) {
    forEachAttribute(stats, [&](const Attribute& a) {
      if (a.type == IFLA_VF_STATS_PAD) return;
      const std::uint64_t value = a.u64();
      any |= value;
      if (a.type == IFLA_VF_STATS_RX_BYTES) traffic.receiveBytes = value;
      if (a.type == IFLA_VF_STATS_TX_BYTES) traffic.transmitBytes = value;
      if (a.type == IFLA_VF_STATS_RX_PACKETS) traffic.receivePackets = value;
      if (a.type == IFLA_VF_STATS_TX_PACKETS) traffic.transmitPackets = value;
      if (a.type == IFLA_VF_STATS_RX_DROPPED) traffic.receiveDropped = value;
      if (a.type == IFLA_VF_STATS_TX_DROPPED) traffic.transmitDropped = value;
    });
  };
  forEachAttribute(info, [&](const Attribute& a) {
    if (a.type == IFLA_VF_MAC) traffic.vf = static_cast<int>(readAs<ifla_vf_mac>(a.data).vf);
    if (a.type == IFLA_VF_STATS) readStats(a.data);
  });
  return any == 0 ? std::nullopt : std::optional(traffic);
}

// Calls `each` with every IFLA_VF_INFO of a link.
void forEachVf(Bytes payload, const std::function<void(Bytes info)>& each) {
  forEachAttribute(payload.subspan(sizeof(ifinfomsg)), [&](const Attribute& a) {
    if (a.type != IFLA_VFINFO_LIST) return;
    forEachAttribute(a.data, [&](const Attribute& info) {
      if (info.type == IFLA_VF_INFO) each(info.data);
    });
  });
}

}  // namespace

std::uint8_t Attribute::u8() const { return readAs<std::uint8_t>(data); }
std::uint32_t Attribute::u32() const { return readAs<std::uint32_t>(data); }
std::uint64_t Attribute::u64() const { return readAs<std::uint64_t>(data); }
std::string Attribute::text() const {
  return {data.begin(), std::find(data.begin(), data.end(), std::uint8_t{0})};
}

void forEachAttribute(Bytes data, const std::function<void(const Attribute&)>& each) {
  while (data.size() >= sizeof(nlattr)) {
    const auto header = readAs<nlattr>(data);
    if (header.nla_len < sizeof(nlattr) || header.nla_len > data.size()) return;
    each({static_cast<std::uint16_t>(header.nla_type & NLA_TYPE_MASK),
          data.subspan(sizeof(nlattr), header.nla_len - sizeof(nlattr))});
    data = data.subspan(std::min(aligned(header.nla_len), data.size()));
  }
}

Result<Link> parseLink(Bytes payload) {
  if (payload.size() < sizeof(ifinfomsg)) return tooShort("link");
  const auto header = readAs<ifinfomsg>(payload);
  Link link;
  link.index = header.ifi_index;
  link.up = (header.ifi_flags & IFF_UP) != 0;
  forEachAttribute(payload.subspan(sizeof header), [&](const Attribute& a) {
    switch (a.type) {
      case IFLA_IFNAME:
        link.name = a.text();
        break;
      case IFLA_IFALIAS:
        link.alias = a.text();
        break;
      case IFLA_ADDRESS:
        link.mac = macFrom(a.data);
        break;
      case IFLA_MTU:
        link.mtu = static_cast<int>(a.u32());
        break;
      case IFLA_CARRIER:
        link.carrier = a.u8() != 0;
        break;
      case IFLA_PERM_ADDRESS:
        link.permanentMac = macFrom(a.data);
        break;
      case IFLA_PARENT_DEV_NAME:
        link.parentDevice = a.text();
        break;
      case IFLA_AF_SPEC:
        link.strictArp = readStrictArp(a.data);
        break;
      case IFLA_LINKINFO:
        forEachAttribute(a.data, [&](const Attribute& info) {
          if (info.type == IFLA_INFO_KIND) link.kind = info.text();
        });
        break;
      default:
        break;
    }
  });
  return link;
}

Result<std::vector<VfSettings>> parseVfs(Bytes payload) {
  if (payload.size() < sizeof(ifinfomsg)) return tooShort("link");
  std::vector<VfSettings> vfs;
  forEachVf(payload, [&](Bytes info) { vfs.push_back(readVf(info)); });
  std::sort(vfs.begin(), vfs.end(), [](const auto& a, const auto& b) { return a.index < b.index; });
  return vfs;
}

Result<std::vector<VfTraffic>> parseVfTraffic(Bytes payload) {
  if (payload.size() < sizeof(ifinfomsg)) return tooShort("link");
  std::vector<VfTraffic> vfs;
  forEachVf(payload, [&](Bytes info) {
    if (const auto traffic = readVfTraffic(info)) vfs.push_back(*traffic);
  });
  return vfs;
}

Result<Address> parseAddress(Bytes payload) {
  if (payload.size() < sizeof(ifaddrmsg)) return tooShort("address");
  const auto header = readAs<ifaddrmsg>(payload);
  Address address;
  address.linkIndex = static_cast<int>(header.ifa_index);
  address.prefix.length = header.ifa_prefixlen;
  address.prefix.address.v6 = header.ifa_family == AF_INET6;
  const std::size_t size = address.prefix.address.v6 ? 16 : 4;
  bool local = false;
  forEachAttribute(payload.subspan(sizeof header), [&](const Attribute& a) {
    // IFA_LOCAL is the address itself; IFA_ADDRESS is the peer's on a point-to-point link.
    const bool better = a.type == IFA_LOCAL || (a.type == IFA_ADDRESS && !local);
    if (!better || a.data.size() != size) return;
    std::copy(a.data.begin(), a.data.end(), address.prefix.address.bytes.begin());
    local = a.type == IFA_LOCAL;
  });
  return address;
}

Result<std::optional<Route>> parseRoute(Bytes payload) {
  if (payload.size() < sizeof(rtmsg)) return tooShort("route");
  const auto header = readAs<rtmsg>(payload);
  const bool v6 = header.rtm_family == AF_INET6;
  if (!v6 && header.rtm_family != AF_INET) return std::optional<Route>();
  const std::size_t size = v6 ? 16 : 4;
  Route route;
  route.destination = {IpAddress{{}, v6}, std::min<int>(header.rtm_dst_len, v6 ? 128 : 32)};
  route.table = header.rtm_table;
  bool single = header.rtm_type == RTN_UNICAST && (header.rtm_flags & RTM_F_CLONED) == 0;
  const auto addressIn = [&](const Attribute& a, IpAddress& into) {
    if (a.data.size() != size) return false;
    into.v6 = v6;
    std::copy(a.data.begin(), a.data.end(), into.bytes.begin());
    return true;
  };
  forEachAttribute(payload.subspan(sizeof header), [&](const Attribute& a) {
    IpAddress address;
    switch (a.type) {
      case RTA_DST:
        addressIn(a, route.destination.address);
        break;
      case RTA_GATEWAY:
        if (addressIn(a, address)) route.gateway = address;
        break;
      case RTA_PREFSRC:
        if (addressIn(a, address)) route.source = address;
        break;
      case RTA_OIF:
        route.linkIndex = static_cast<int>(a.u32());
        break;
      case RTA_PRIORITY:
        route.priority = a.u32();
        break;
      case RTA_TABLE:
        route.table = a.u32();
        break;
      case RTA_MULTIPATH:
      case RTA_VIA:  // a gateway of the other family
        single = false;
        break;
      default:
        break;
    }
  });
  if (!single || route.table == RT_TABLE_LOCAL) return std::optional<Route>();
  return std::optional<Route>(route);
}

Result<std::optional<Rule>> parseRule(Bytes payload) {
  if (payload.size() < sizeof(fib_rule_hdr)) return tooShort("rule");
  const auto header = readAs<fib_rule_hdr>(payload);
  const bool v6 = header.family == AF_INET6;
  const std::size_t size = v6 ? 16 : 4;
  const bool known = v6 || header.family == AF_INET;
  if (!known || header.action != FR_ACT_TO_TBL || header.src_len != size * 8)
    return std::optional<Rule>();
  Rule rule{IpAddress{{}, v6}, header.table, 0};
  bool hasSource = false;
  forEachAttribute(payload.subspan(sizeof header), [&](const Attribute& a) {
    if (a.type == FRA_TABLE) rule.table = a.u32();
    if (a.type == FRA_PRIORITY) rule.priority = a.u32();
    if (a.type != FRA_SRC || a.data.size() != size) return;
    std::copy(a.data.begin(), a.data.end(), rule.source.bytes.begin());
    hasSource = true;
  });
  return hasSource ? std::optional<Rule>(rule) : std::nullopt;
}

Result<RdmaDevice> parseRdmaDevice(Bytes payload) {
  RdmaDevice device;
  forEachAttribute(payload, [&](const Attribute& a) {
    if (a.type == RDMA_NLDEV_ATTR_DEV_INDEX) device.index = a.u32();
    if (a.type == RDMA_NLDEV_ATTR_DEV_NAME) device.name = a.text();
    if (a.type == RDMA_NLDEV_ATTR_NODE_GUID) device.nodeGuid.value = a.u64();
  });
  if (device.name.empty()) return tooShort("RDMA device");
  return device;
}

Result<RdmaPort> parseRdmaPort(Bytes payload) {
  constexpr std::uint8_t kPortActive = 4;  // enum ib_port_state
  RdmaPort port;
  forEachAttribute(payload, [&](const Attribute& a) {
    switch (a.type) {
      case RDMA_NLDEV_ATTR_DEV_INDEX:
        port.deviceIndex = a.u32();
        break;
      case RDMA_NLDEV_ATTR_DEV_NAME:
        port.device = a.text();
        break;
      case RDMA_NLDEV_ATTR_PORT_INDEX:
        port.port = static_cast<int>(a.u32());
        break;
      case RDMA_NLDEV_ATTR_PORT_STATE:
        port.active = a.u8() == kPortActive;
        break;
      case RDMA_NLDEV_ATTR_NDEV_INDEX:
        port.netdevIndex = static_cast<int>(a.u32());
        break;
      case RDMA_NLDEV_ATTR_NDEV_NAME:
        port.netdev = a.text();
        break;
      default:
        break;
    }
  });
  if (port.device.empty()) return tooShort("RDMA port");
  return port;
}

Result<RdmaNetnsMode> parseRdmaNetnsMode(Bytes payload) {
  std::optional<RdmaNetnsMode> mode;
  forEachAttribute(payload, [&](const Attribute& a) {
    // 1: devices are shared by all network namespaces.
    if (a.type == RDMA_NLDEV_SYS_ATTR_NETNS_MODE) {
      mode = a.u8() == 1 ? RdmaNetnsMode::kShared : RdmaNetnsMode::kExclusive;
    }
  });
  if (!mode) return tooShort("RDMA system");
  return *mode;
}

}  // namespace railhead::netlink
