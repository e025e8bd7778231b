#include "src/verify/traffic.h"

#include "src/base/text.h"
#include "src/base/units.h"
#include "src/discover/attributes.h"
#include "src/discover/counters.h"

#include <algorithm>
#include <map>
#include <string_view>

namespace railhead::verify {
namespace {

using DriverNumbers = std::map<std::string, std::uint64_t>;

// Received segments may be merged (GRO) before they are counted.
constexpr std::uint64_t kLargestMergedSegment = 65536;
constexpr std::uint64_t kTcpMtuFloor = 1500;  // where no MTU is known

std::optional<std::uint64_t> named(const std::vector<discover::Counter>& counters,
                                   std::string_view name) {
  const auto found = std::find_if(counters.begin(), counters.end(),
                                  [&](const auto& each) { return each.name == name; });
  return found == counters.end() ? std::nullopt : std::optional(found->value);
}

TwoWay bothWays(const std::vector<discover::Counter>& counters, const std::string& what) {
  return {named(counters, "transmit_" + what), named(counters, "receive_" + what)};
}

std::optional<std::uint64_t> number(const DriverNumbers& numbers, const std::string& name) {
  const auto found = numbers.find(name);
  return found == numbers.end() ? std::nullopt : std::optional(found->second);
}

// "tx_bytes_phy" and "rx_bytes_phy".
TwoWay driverPair(const DriverNumbers& numbers, const std::string& name) {
  return {number(numbers, "tx_" + name), number(numbers, "rx_" + name)};
}

TwoWay firstOf(const TwoWay& better, const TwoWay& otherwise) {
  return better.sent && better.received ? better : otherwise;
}

std::optional<std::uint64_t> sumOf(const std::vector<discover::Counter>& counters) {
  if (counters.empty()) return std::nullopt;
  std::uint64_t sum = 0;
  for (const auto& each : counters) sum += each.value;
  return sum;
}

void readRdma(os::Filesystem& files, const os::HostPaths& paths, netlink::RdmaCounters* asked,
              InterfaceTraffic& traffic) {
  const discover::Attributes device(files, paths.sys + "/class/infiniband/" + traffic.name.rdma);
  const auto port = device.below("ports").below("1");
  auto counters = discover::readRdmaCounters(files, traffic.name.rdma, port.directory());
  traffic.software = !device.text("parent").empty();
  traffic.rdmaBytes = bothWays(counters.traffic, "bytes");
  traffic.rdmaPackets = bothWays(counters.traffic, "packets");
  const bool hidden = counters.retransmits.empty() && counters.congestion.empty();
  if (!traffic.software && hidden && asked != nullptr) {
    const auto told = asked->read(traffic.name.rdma);
    if (told.has_value()) counters = discover::hardwareCounters(traffic.name.rdma, *told);
  }
  traffic.retransmits = sumOf(counters.retransmits);
  traffic.cnpSent = named(counters.congestion, "cnp_sent");
  traffic.cnpHandled = named(counters.congestion, "cnp_handled");
  if (!traffic.software) return;
  // rdma_rxe's own names.
  const auto soft = port.below("hw_counters");
  traffic.rdmaPackets = {soft.number("sent_pkts"), soft.number("rcvd_pkts")};
  if (const auto again = soft.number("completer_retry_err")) traffic.retransmits = again;
  if (asked == nullptr || (traffic.rdmaPackets.sent && traffic.rdmaPackets.received)) return;
  const auto told = asked->read(traffic.name.rdma);
  if (!told.has_value()) return;
  traffic.rdmaPackets = {number(*told, "sent_pkts"), number(*told, "rcvd_pkts")};
  if (const auto again = number(*told, "completer_retry_err")) traffic.retransmits = again;
}

InterfaceTraffic readInterface(os::Filesystem& files, const os::HostPaths& paths,
                               netlink::DriverCounters* driver, netlink::RdmaCounters* rdma,
                               const InterfaceName& name) {
  InterfaceTraffic traffic;
  traffic.name = name;
  if (!name.rdma.empty()) readRdma(files, paths, rdma, traffic);
  if (name.netdev.empty()) return traffic;
  const std::string folder = paths.sys + "/class/net/" + name.netdev;
  traffic.mtu = discover::Attributes(files, folder).integer("mtu", 0, 0x7fffffff, 0);
  traffic.netdevBytes = bothWays(discover::readNetCounters(files, folder), "bytes");
  if (driver == nullptr) return traffic;
  const auto numbers = driver->read(name.netdev);
  if (!numbers.has_value()) return traffic;
  traffic.rdmaBytes = firstOf(driverPair(*numbers, "vport_rdma_unicast_bytes"), traffic.rdmaBytes);
  traffic.netdevBytes = firstOf(driverPair(*numbers, "vport_unicast_bytes"), traffic.netdevBytes);
  traffic.wireBytes = driverPair(*numbers, "bytes_phy");
  return traffic;
}

// "Tcp: RtoAlgorithm ... InSegs OutSegs RetransSegs ..." and a line with the numbers.
std::optional<TcpSegments> readTcp(os::Filesystem& files, const os::HostPaths& paths) {
  const auto text = files.readFile(paths.proc + "/net/snmp", 65536);
  if (!text.has_value()) return std::nullopt;
  std::vector<std::string_view> names;
  for (const std::string_view line : split(*text, '\n')) {
    if (!line.starts_with("Tcp: ")) continue;
    auto words = split(line, ' ');
    if (names.empty()) {
      names = std::move(words);
      continue;
    }
    const auto value = [&](std::string_view name) -> std::optional<std::uint64_t> {
      const auto at =
          static_cast<std::size_t>(std::find(names.begin(), names.end(), name) - names.begin());
      return at < words.size() && at < names.size() ? parseUnsigned(words[at]) : std::nullopt;
    };
    const auto sent = value("OutSegs");
    const auto received = value("InSegs");
    if (!sent || !received) return std::nullopt;
    return TcpSegments{*sent, *received, value("RetransSegs").value_or(0)};
  }
  return std::nullopt;
}

// Takes one counter from the other and notes what cannot be.
class Subtraction {
 public:
  explicit Subtraction(std::vector<std::string>& notes) : notes_(notes) {}

  std::optional<std::uint64_t> operator()(const std::optional<std::uint64_t>& before,
                                          const std::optional<std::uint64_t>& after,
                                          const std::string& what) {
    if (!before || !after) return std::nullopt;
    if (*after >= *before) return *after - *before;
    notes_.push_back(what + " went back from " + std::to_string(*before) + " to " +
                     std::to_string(*after) + ": the function was made anew meanwhile");
    return std::nullopt;
  }
  TwoWay operator()(const TwoWay& before, const TwoWay& after, const std::string& what) {
    return {(*this)(before.sent, after.sent, what + " sent"),
            (*this)(before.received, after.received, what + " received")};
  }

 private:
  std::vector<std::string>& notes_;
};

std::string label(const InterfaceName& name) {
  if (name.rdma.empty()) return name.netdev;
  return name.netdev.empty() ? name.rdma : name.rdma + " (" + name.netdev + ")";
}

void add(std::optional<std::uint64_t>& sum, std::uint64_t value) { sum = sum.value_or(0) + value; }

// At most this many bytes were TCP's; nullopt: nothing bounds them.
std::optional<std::uint64_t> tcpBound(const Traffic& moved, Side side) {
  std::optional<std::uint64_t> carried;
  std::uint64_t mtu = kTcpMtuFloor;
  bool shared = false;
  for (const auto& each : moved.interfaces) {
    if (const auto bytes = each.netdevBytes.of(side)) add(carried, *bytes);
    mtu = std::max(mtu, static_cast<std::uint64_t>(std::max(each.mtu, 0)));
    shared = shared || each.software;
  }
  if (!shared) return carried;
  if (!moved.tcp) return std::nullopt;
  const std::uint64_t most = side == Side::kSend
                                 ? moved.tcp->sent * mtu
                                 : moved.tcp->received * std::max(mtu, kLargestMergedSegment);
  return std::min(most, carried.value_or(most));
}

}  // namespace

Traffic readTraffic(os::Filesystem& files, const os::HostPaths& paths,
                    netlink::DriverCounters* driver, const std::vector<InterfaceName>& names,
                    netlink::RdmaCounters* rdma) {
  Traffic traffic;
  for (const auto& name : names) {
    traffic.interfaces.push_back(readInterface(files, paths, driver, rdma, name));
  }
  traffic.tcp = readTcp(files, paths);
  return traffic;
}

TrafficDifference difference(const Traffic& before, const Traffic& after) {
  TrafficDifference result;
  Subtraction minus(result.notes);
  for (const auto& later : after.interfaces) {
    const auto earlier =
        std::find_if(before.interfaces.begin(), before.interfaces.end(), [&](const auto& each) {
          return each.name.rdma == later.name.rdma && each.name.netdev == later.name.netdev;
        });
    if (earlier == before.interfaces.end()) {
      result.notes.push_back(label(later.name) + " was not there at first");
      continue;
    }
    const std::string what = label(later.name) + ": ";
    InterfaceTraffic moved;
    moved.name = later.name;
    moved.software = later.software;
    moved.mtu = later.mtu;
    moved.rdmaBytes = minus(earlier->rdmaBytes, later.rdmaBytes, what + "RDMA bytes");
    moved.rdmaPackets = minus(earlier->rdmaPackets, later.rdmaPackets, what + "RDMA packets");
    moved.netdevBytes = minus(earlier->netdevBytes, later.netdevBytes, what + "bytes");
    moved.wireBytes = minus(earlier->wireBytes, later.wireBytes, what + "wire bytes");
    moved.retransmits = minus(earlier->retransmits, later.retransmits, what + "retransmits");
    moved.cnpSent = minus(earlier->cnpSent, later.cnpSent, what + "CNPs sent");
    moved.cnpHandled = minus(earlier->cnpHandled, later.cnpHandled, what + "CNPs handled");
    result.moved.interfaces.push_back(std::move(moved));
  }
  if (before.tcp && after.tcp) {
    const auto sent = minus(before.tcp->sent, after.tcp->sent, "TCP segments sent");
    const auto received = minus(before.tcp->received, after.tcp->received, "TCP segments received");
    const auto again =
        minus(before.tcp->retransmitted, after.tcp->retransmitted, "TCP retransmits");
    if (sent && received) result.moved.tcp = TcpSegments{*sent, *received, again.value_or(0)};
  }
  return result;
}

MovedBytes movedBytes(const TrafficDifference& difference, Side side) {
  MovedBytes moved;
  moved.tcp = tcpBound(difference.moved, side);
  if (moved.tcp) {
    moved.sums.push_back("TCP: at most " + formatBytes(*moved.tcp) +
                         " (bytes of the netdevs, bounded by the namespace's TCP segments where "
                         "soft-RoCE shares them)");
  }
  // What TCP may have had of the shared netdevs is taken off each soft rail's bytes once.
  std::uint64_t tcpLeft = moved.tcp.value_or(0);
  for (const auto& each : difference.moved.interfaces) {
    if (const auto wire = each.wireBytes.of(side)) add(moved.wire, *wire);
    if (each.name.rdma.empty()) continue;
    std::optional<std::uint64_t> bytes = each.rdmaBytes.of(side);
    std::string how = "counted by the NIC";
    if (each.software) {
      const auto all = each.netdevBytes.of(side);
      const auto packets = each.rdmaPackets.of(side);
      bytes.reset();
      if (all && packets && moved.tcp) {
        const std::uint64_t tcp = std::min(tcpLeft, *all);
        tcpLeft -= tcp;
        // So many packets cannot carry more.
        bytes = std::min(*all - tcp, *packets * static_cast<std::uint64_t>(std::max(each.mtu, 0)));
        how = formatBytes(*all) + " of " + each.name.netdev + " less TCP's part, in " +
              std::to_string(*packets) + " RoCE packets";
      }
    }
    if (!bytes) continue;
    add(moved.rdma, *bytes);
    moved.rails.emplace_back(each.name.rdma, *bytes);
    moved.sums.push_back(label(each.name) + ": " + formatBytes(*bytes) + " by RDMA, " + how);
  }
  return moved;
}

}  // namespace railhead::verify
