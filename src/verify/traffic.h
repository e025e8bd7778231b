// What a node's NICs have carried, and what they carried between two moments: RDMA, all else, and
// the cable. Independent of what NCCL or any other program says of itself. Value types; the readers
// work over a rooted Filesystem and the driver's counters.
//
// mlx5 refreshes its counters every `lifespan` milliseconds (10): wait that long after the last
// byte before the second snapshot.
#pragma once

#include "src/netlink/ethtool.h"
#include "src/netlink/rdma_counters.h"
#include "src/os/filesystem.h"
#include "src/os/host_paths.h"
#include "src/verify/nccl_line.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace railhead::verify {

// A counter of each direction, from the node's own point of view; absent where it cannot be read.
struct TwoWay {
  std::optional<std::uint64_t> sent, received;

  const std::optional<std::uint64_t>& of(Side side) const {
    return side == Side::kSend ? sent : received;
  }
};

struct InterfaceName {
  std::string rdma;    // "rocep1s0f0"; empty: a netdev without RDMA, as lo
  std::string netdev;  // empty: an RDMA device without netdev here
};

struct InterfaceTraffic {
  InterfaceName name;
  bool software = false;  // soft-RoCE: its packets are among the netdev's bytes
  int mtu = 0;            // of the netdev, bytes; 0: unknown
  TwoWay rdmaBytes;       // counted by the NIC; soft-RoCE counts packets alone
  TwoWay rdmaPackets;
  TwoWay netdevBytes;  // TCP and all else that the netdev carried
  TwoWay wireBytes;    // on the cable (*_bytes_phy), of the whole port
  std::optional<std::uint64_t> retransmits, cnpSent, cnpHandled;
};

struct TcpSegments {
  std::uint64_t sent = 0, received = 0, retransmitted = 0;
};

struct Traffic {
  std::vector<InterfaceTraffic> interfaces;
  std::optional<TcpSegments> tcp;  // of this network namespace
};

// Names every interface whose bytes matter: the rails, and for sockets the others and lo. `driver`
// null: without the driver's own counters; `rdma` null: without those
// that sysfs hides (packets of soft-RoCE, retransmits and CNPs of a NIC). What cannot be read is
// absent.
Traffic readTraffic(os::Filesystem& files, const os::HostPaths& paths,
                    netlink::DriverCounters* driver, const std::vector<InterfaceName>& names,
                    netlink::RdmaCounters* rdma = nullptr);

// What was carried from `before` to `after`. A counter that went back, or is missing on one side,
// is absent, and a note says so.
struct TrafficDifference {
  Traffic moved;
  std::vector<std::string> notes;
};
TrafficDifference difference(const Traffic& before, const Traffic& after);

// One direction over all interfaces. Absent: no counter tells.
struct MovedBytes {
  std::optional<std::uint64_t> rdma;                         // at least this much
  std::optional<std::uint64_t> tcp;                          // at most this much
  std::optional<std::uint64_t> wire;                         // on the cables
  std::vector<std::pair<std::string, std::uint64_t>> rails;  // RDMA bytes by device
  std::vector<std::string> sums;  // how each figure came about, for the report
};
// Soft-RoCE and TCP share a netdev's bytes; the TCP segments of the namespace bound TCP's part.
MovedBytes movedBytes(const TrafficDifference& difference, Side side);

}  // namespace railhead::verify
