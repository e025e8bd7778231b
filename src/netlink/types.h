// Values read from and sent to the kernel over netlink. No libnl type appears here.
#pragma once

#include "src/base/guid.h"
#include "src/base/ip.h"
#include "src/base/mac.h"

#include <cstdint>
#include <optional>
#include <string>

namespace railhead::netlink {

struct Link {
  int index = 0;
  std::string name;
  Mac mac;
  int mtu = 0;
  bool up = false;           // IFF_UP: administratively
  bool carrier = false;      // IFLA_CARRIER
  std::string kind;          // "veth", "macvlan"; empty for hardware
  std::string parentDevice;  // "0000:01:10.0" (IFLA_PARENT_DEV_NAME, kernel >= 5.14); else empty
  Mac permanentMac;          // the one the hardware was made with; zero when it has none
  bool strictArp = false;    // see LinkChange
  std::string alias;         // IFLA_IFALIAS: free text that stays with the link wherever it goes
};

// Absent fields stay as they are. The kernel wants a link down before it is renamed or
// re-addressed; the caller orders that.
struct LinkChange {
  std::optional<bool> up;
  std::optional<int> mtu;
  std::optional<Mac> mac;
  std::optional<std::string> name;
  // Answer ARP only for this link's own addresses and ask with them (arp_ignore 1, arp_announce 2),
  // so that two links of one host never answer for each other. A move forgets it.
  std::optional<bool> strictArp;
  std::optional<std::string> alias;  // at most 255 bytes; empty takes it away
};

enum class VfLinkState { kAuto, kEnable, kDisable };

// A VF as its PF sees it (IFLA_VF_INFO). A driver that does not support a setting reports its
// default.
struct VfSettings {
  int index = 0;
  Mac mac;  // administrative MAC; zero: none set
  int vlan = 0;
  int vlanQos = 0;
  std::uint16_t vlanProtocol = 0x8100;
  bool spoofCheck = false;
  bool trust = false;
  VfLinkState linkState = VfLinkState::kAuto;
  int minTxRate = 0;  // Mb/s; 0: no limit
  int maxTxRate = 0;
};

// What a VF has carried since it was made, from its own point of view, RDMA included where the
// hardware counts it so.
struct VfTraffic {
  int vf = 0;
  std::uint64_t receiveBytes = 0;
  std::uint64_t transmitBytes = 0;
  std::uint64_t receivePackets = 0;
  std::uint64_t transmitPackets = 0;
  std::uint64_t receiveDropped = 0;
  std::uint64_t transmitDropped = 0;
};

struct VfChange {
  std::optional<Mac> mac;
  std::optional<int> vlan;
  std::optional<int> vlanQos;
  std::optional<std::uint16_t> vlanProtocol;
  std::optional<bool> spoofCheck;
  std::optional<bool> trust;
  std::optional<VfLinkState> linkState;
  std::optional<int> minTxRate;
  std::optional<int> maxTxRate;
};

struct Address {
  int linkIndex = 0;
  IpPrefix prefix;
};

// A unicast route with at most one next hop. The kernel's own local routes are not among them.
struct Route {
  static constexpr std::uint32_t kMainTable = 254;

  IpPrefix destination;              // length 0: the default route of its family
  std::optional<IpAddress> gateway;  // absent: the destination is on the link
  int linkIndex = 0;
  std::uint32_t table = kMainTable;
  std::uint32_t priority = 0;       // metric, lower wins; for IPv6 the kernel makes 1024 of 0
  std::optional<IpAddress> source;  // preferred source address

  bool isDefault() const { return destination.length == 0; }
  bool operator==(const Route&) const = default;
};

// Packets with this source address are routed by this table.
struct Rule {
  IpAddress source;
  std::uint32_t table = 0;
  std::uint32_t priority = 0;  // lower is asked first; the main table is at 32766
  bool operator==(const Rule&) const = default;
};

struct RdmaDevice {
  std::uint32_t index = 0;
  std::string name;  // "rocep1s0f0", "rxe0"
  Guid nodeGuid;
};

struct RdmaPort {
  std::uint32_t deviceIndex = 0;
  std::string device;
  int port = 1;
  std::string netdev;  // empty: none in this namespace
  int netdevIndex = 0;
  bool active = false;  // IB_PORT_ACTIVE
};

// Whether RDMA devices belong to one network namespace each (exclusive) or are seen by all
// (shared).
enum class RdmaNetnsMode { kShared, kExclusive };

}  // namespace railhead::netlink
