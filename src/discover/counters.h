// What the functions of a node have carried so far, read from sysfs: netdev statistics and RDMA
// port counters. They count up from the function's creation and begin at 0 again with it.
//
// A VF whose netdev or RDMA device sits in a pod's namespace has no sysfs entry here; its counters
// are absent, and come back with it.
// Sources: Documentation/ABI/testing/sysfs-class-net-statistics, sysfs-class-infiniband; mlx5's
// hw_counters by NVIDIA's "Understanding mlx5 ethtool/RDMA counters".
#pragma once

#include "src/base/pci_address.h"
#include "src/discover/node.h"
#include "src/os/filesystem.h"
#include "src/os/host_paths.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace railhead::discover {

// One counter that could be read; its names stand below.
struct Counter {
  std::string_view name;
  std::uint64_t value = 0;
};

struct RdmaCounters {
  std::string device;  // "rocep1s0f0", port 1
  std::vector<Counter> traffic;
  std::vector<Counter> retransmits;  // by cause, the kernel's own names: "packet_seq_err"
  std::vector<Counter> congestion;
};

struct FunctionCounters {
  std::string pf;  // the PF's netdev, or its address when it has none
  PciAddress pci;
  int vfIndex = -1;          // -1: the PF itself
  std::vector<Counter> net;  // netdev statistics
  std::vector<RdmaCounters> rdma;
};

// Names of Counter:
//  net, traffic: receive_bytes, transmit_bytes, receive_packets, transmit_packets; net also
//    receive_errors, receive_dropped, transmit_errors, transmit_dropped. All bytes: the kernel's
//    port_*_data count four at a time and are multiplied here.
//  congestion: cnp_sent (np_cnp_sent), cnp_handled (rp_cnp_handled), ecn_marked_packets
//    (np_ecn_marked_roce_packets).
struct CountersReport {
  std::vector<FunctionCounters> functions;  // those with at least one counter
  bool cut = false;  // `deadline` came, or kMaxCounters was reached: the rest was not read
};

inline constexpr std::size_t kMaxCounters = 65536;  // files read in one report

// The counters of one netdev or RDMA port, for those who know it by its folder in sysfs
// ("/sys/class/net/eth0", "/sys/class/infiniband/rxe0/ports/1").
std::vector<Counter> readNetCounters(os::Filesystem& files, const std::string& netdevFolder);
RdmaCounters readRdmaCounters(os::Filesystem& files, std::string device,
                              const std::string& portFolder);
// The same of what a driver told by its own names (hw_counters), where sysfs hides them; without
// traffic, which is not among them.
RdmaCounters hardwareCounters(std::string device, const std::map<std::string, std::uint64_t>& told);

// Reads no more once `deadline` has come: each file may ask the NIC's firmware.
CountersReport readCounters(os::Filesystem& files, const os::HostPaths& paths, const Node& node,
                            std::chrono::steady_clock::time_point deadline);

}  // namespace railhead::discover
