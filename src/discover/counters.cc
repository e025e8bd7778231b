#include "src/discover/counters.h"

#include "src/discover/attributes.h"

#include <functional>
#include <span>

namespace railhead::discover {
namespace {

struct Source {
  std::string_view name;  // ours
  std::string_view file;  // the kernel's
  std::uint64_t unit = 1;
};

constexpr Source kNet[] = {
    {"receive_bytes", "rx_bytes"},     {"transmit_bytes", "tx_bytes"},
    {"receive_packets", "rx_packets"}, {"transmit_packets", "tx_packets"},
    {"receive_errors", "rx_errors"},   {"transmit_errors", "tx_errors"},
    {"receive_dropped", "rx_dropped"}, {"transmit_dropped", "tx_dropped"},
};

constexpr Source kTraffic[] = {
    {"receive_bytes", "port_rcv_data", 4},
    {"transmit_bytes", "port_xmit_data", 4},
    {"receive_packets", "port_rcv_packets"},
    {"transmit_packets", "port_xmit_packets"},
};

constexpr Source kRetransmits[] = {
    {"packet_seq_err", "packet_seq_err"},    // NAK for a sequence error came back
    {"out_of_sequence", "out_of_sequence"},  // received out of order: the peer sends again
    {"local_ack_timeout_err", "local_ack_timeout_err"},
    {"implied_nak_seq_err", "implied_nak_seq_err"},
    {"rnr_nak_retry_err", "rnr_nak_retry_err"},
    {"roce_adp_retrans", "roce_adp_retrans"},
    {"roce_slow_restart", "roce_slow_restart"},
};

constexpr Source kCongestion[] = {
    {"cnp_sent", "np_cnp_sent"},
    {"cnp_handled", "rp_cnp_handled"},
    {"ecn_marked_packets", "np_ecn_marked_roce_packets"},
};

// Asked before each file of a reading; false ends it.
using MayRead = std::function<bool()>;

std::vector<Counter> readSources(os::Filesystem& files, const Attributes& directory,
                                 std::span<const Source> sources, const MayRead& mayRead) {
  std::vector<Counter> counters;
  for (const auto& source : sources) {
    if (!mayRead()) return counters;
    if (const auto value = directory.number(source.file)) {
      counters.push_back({source.name, *value * source.unit});
    } else if (counters.empty() && !files.exists(directory.directory())) {
      return counters;  // no such folder: not another eight misses
    }
  }
  return counters;
}

RdmaCounters readPort(os::Filesystem& files, std::string device, const Attributes& port,
                      const MayRead& mayRead) {
  const auto hardware = port.below("hw_counters");
  RdmaCounters counters;
  counters.device = std::move(device);
  counters.traffic = readSources(files, port.below("counters"), kTraffic, mayRead);
  counters.retransmits = readSources(files, hardware, kRetransmits, mayRead);
  counters.congestion = readSources(files, hardware, kCongestion, mayRead);
  return counters;
}

class PortReader {
 public:
  PortReader(os::Filesystem& files, const os::HostPaths& paths,
             std::chrono::steady_clock::time_point deadline)
      : files_(files), paths_(paths), deadline_(deadline) {}

  void readFunction(const std::string& pf, const PciFunction& function, int vfIndex) {
    const Attributes device(files_, paths_.pciDevice(function.pci.toString()));
    const MayRead mayRead = [this] { return this->mayRead(); };
    FunctionCounters counters{pf, function.pci, vfIndex, {}, {}};
    if (!function.netdev.empty()) {
      counters.net = readSources(
          files_, device.below("net").below(function.netdev).below("statistics"), kNet, mayRead);
    }
    for (const auto& rdma : function.rdma) {
      const auto port = device.below("infiniband").below(rdma.name).below("ports").below("1");
      auto one = readPort(files_, rdma.name, port, mayRead);
      const bool empty = one.traffic.empty() && one.retransmits.empty() && one.congestion.empty();
      if (!empty) counters.rdma.push_back(std::move(one));
    }
    if (!counters.net.empty() || !counters.rdma.empty()) {
      report_.functions.push_back(std::move(counters));
    }
  }

  CountersReport take() { return std::move(report_); }

 private:
  bool mayRead() {
    if (report_.cut || filesRead_ == kMaxCounters ||
        std::chrono::steady_clock::now() >= deadline_) {
      report_.cut = true;
      return false;
    }
    ++filesRead_;
    return true;
  }

  os::Filesystem& files_;
  const os::HostPaths& paths_;
  const std::chrono::steady_clock::time_point deadline_;
  std::size_t filesRead_ = 0;
  CountersReport report_;
};

bool always() { return true; }

std::vector<Counter> pick(const std::map<std::string, std::uint64_t>& told,
                          std::span<const Source> sources) {
  std::vector<Counter> counters;
  for (const auto& source : sources) {
    const auto found = told.find(std::string(source.file));
    if (found != told.end()) counters.push_back({source.name, found->second * source.unit});
  }
  return counters;
}

}  // namespace

std::vector<Counter> readNetCounters(os::Filesystem& files, const std::string& netdevFolder) {
  return readSources(files, Attributes(files, netdevFolder).below("statistics"), kNet, always);
}

RdmaCounters readRdmaCounters(os::Filesystem& files, std::string device,
                              const std::string& portFolder) {
  return readPort(files, std::move(device), Attributes(files, portFolder), always);
}

RdmaCounters hardwareCounters(std::string device,
                              const std::map<std::string, std::uint64_t>& told) {
  return {std::move(device), {}, pick(told, kRetransmits), pick(told, kCongestion)};
}

CountersReport readCounters(os::Filesystem& files, const os::HostPaths& paths, const Node& node,
                            std::chrono::steady_clock::time_point deadline) {
  PortReader reader(files, paths, deadline);
  for (const auto& pf : node.pfs) {
    const std::string name = pf.netdev.empty() ? pf.pci.toString() : pf.netdev;
    reader.readFunction(name, pf, -1);
    for (const auto& vf : pf.vfs) reader.readFunction(name, vf, vf.index);
  }
  return reader.take();
}

}  // namespace railhead::discover
