#include "src/agent/observe/families.h"

#include <algorithm>
#include <functional>
#include <map>

namespace railhead::agent {
namespace {

using metrics::Exposition;
using metrics::Kind;
using metrics::Labels;

void gauge(Exposition& out, std::string_view name, std::string_view help) {
  out.family(Kind::kGauge, name, help);
}

// One resource, whatever its devices are.
struct Published {
  std::string resource;
  kube::PluginState state;
  unsigned replicas = 1;
  std::vector<std::pair<std::string, std::string>> devices;  // id, why it is unhealthy
};

std::vector<Published> published(const std::vector<OfferStatus>& offers,
                                 const std::vector<GpuResourceStatus>& gpus) {
  std::vector<Published> all;
  for (const auto& offer : offers) {
    auto& one = all.emplace_back(Published{offer.resource, offer.state, 1, {}});
    for (const auto& set : offer.inventory.sets) one.devices.emplace_back(set.id, set.unhealthy);
  }
  for (const auto& offer : gpus) {
    auto& one = all.emplace_back(Published{offer.resource, offer.state, offer.replicas, {}});
    for (const auto& device : offer.devices)
      one.devices.emplace_back(device.unit.uuid, device.reason);
  }
  return all;
}

// One line for each offer.
void perOffer(Exposition& out, Kind kind, std::string_view name, std::string_view help,
              const std::vector<Published>& offers,
              const std::function<double(const Published&)>& value) {
  out.family(kind, name, help);
  for (const auto& offer : offers) out.sample({{"resource", offer.resource}}, value(offer));
}

void perPf(Exposition& out, std::string_view name, std::string_view help,
           const discover::Node& node,
           const std::function<std::optional<double>(const discover::Pf&)>& value) {
  gauge(out, name, help);
  for (const auto& pf : node.pfs) {
    if (const auto number = value(pf)) {
      out.sample(
          {{"pf", pf.netdev.empty() ? pf.pci.toString() : pf.netdev}, {"pci", pf.pci.toString()}},
          *number);
    }
  }
}

std::optional<double> unlessZero(double value) {
  return value > 0 ? std::optional(value) : std::nullopt;
}

Labels functionLabels(const discover::FunctionCounters& function) {
  return {{"pf", function.pf},
          {"pci", function.pci.toString()},
          {"vf", function.vfIndex < 0 ? "" : std::to_string(function.vfIndex)}};
}

struct CounterFamily {
  std::string_view counter;  // of discover::Counter
  std::string_view name;
  std::string_view help;
};

constexpr CounterFamily kNet[] = {
    {"receive_bytes", "railhead_net_receive_bytes_total", "Bytes the netdev received."},
    {"transmit_bytes", "railhead_net_transmit_bytes_total", "Bytes the netdev sent."},
    {"receive_packets", "railhead_net_receive_packets_total", "Packets the netdev received."},
    {"transmit_packets", "railhead_net_transmit_packets_total", "Packets the netdev sent."},
    {"receive_errors", "railhead_net_receive_errors_total", "Packets received with an error."},
    {"transmit_errors", "railhead_net_transmit_errors_total", "Packets that could not be sent."},
    {"receive_dropped", "railhead_net_receive_dropped_total", "Packets dropped on receiving."},
    {"transmit_dropped", "railhead_net_transmit_dropped_total", "Packets dropped on sending."},
};

constexpr CounterFamily kTraffic[] = {
    {"receive_bytes", "railhead_rdma_receive_bytes_total",
     "Bytes the RDMA port received (port_rcv_data x 4)."},
    {"transmit_bytes", "railhead_rdma_transmit_bytes_total",
     "Bytes the RDMA port sent (port_xmit_data x 4)."},
    {"receive_packets", "railhead_rdma_receive_packets_total", "Packets the RDMA port received."},
    {"transmit_packets", "railhead_rdma_transmit_packets_total", "Packets the RDMA port sent."},
};

constexpr CounterFamily kCongestion[] = {
    {"cnp_sent", "railhead_rdma_cnp_sent_total",
     "Congestion notifications sent: this end received marked packets (np_cnp_sent)."},
    {"cnp_handled", "railhead_rdma_cnp_handled_total",
     "Congestion notifications acted on: this end slowed down (rp_cnp_handled)."},
    {"ecn_marked_packets", "railhead_rdma_ecn_marked_packets_total",
     "RoCE packets received with an ECN mark (np_ecn_marked_roce_packets)."},
};

struct VfFamily {
  std::uint64_t netlink::VfTraffic::*counter;
  std::string_view name;
  std::string_view help;
};

constexpr VfFamily kVf[] = {
    {&netlink::VfTraffic::receiveBytes, "railhead_vf_receive_bytes_total",
     "Bytes the VF received, counted by its PF."},
    {&netlink::VfTraffic::transmitBytes, "railhead_vf_transmit_bytes_total",
     "Bytes the VF sent, counted by its PF."},
    {&netlink::VfTraffic::receivePackets, "railhead_vf_receive_packets_total",
     "Packets the VF received, counted by its PF."},
    {&netlink::VfTraffic::transmitPackets, "railhead_vf_transmit_packets_total",
     "Packets the VF sent, counted by its PF."},
    {&netlink::VfTraffic::receiveDropped, "railhead_vf_receive_dropped_total",
     "Packets to the VF that were dropped, counted by its PF."},
    {&netlink::VfTraffic::transmitDropped, "railhead_vf_transmit_dropped_total",
     "Packets of the VF that were dropped, counted by its PF."},
};

std::optional<double> valueOf(const std::vector<discover::Counter>& counters,
                              std::string_view name) {
  const auto found = std::find_if(counters.begin(), counters.end(),
                                  [&](const auto& one) { return one.name == name; });
  if (found == counters.end()) return std::nullopt;
  return static_cast<double>(found->value);
}

// A family for each of `families`, with a line for each RDMA device that has the counter.
template <std::size_t N>
void perDevice(Exposition& out, const discover::CountersReport& report,
               const CounterFamily (&families)[N],
               std::vector<discover::Counter> discover::RdmaCounters::*counters) {
  for (const auto& family : families) {
    out.family(Kind::kCounter, family.name, family.help);
    for (const auto& function : report.functions) {
      for (const auto& device : function.rdma) {
        const auto value = valueOf(device.*counters, family.counter);
        if (!value) continue;
        auto labels = functionLabels(function);
        labels.emplace_back("device", device.device);
        out.sample(labels, *value);
      }
    }
  }
}

}  // namespace

void writeBuild(Exposition& out) {
  gauge(out, "railhead_build_info", "1, with the agent's version.");
  out.sample({{"version", RAILHEAD_VERSION}}, 1);
}

void writeOffers(Exposition& out, const std::vector<OfferStatus>& rails,
                 const std::vector<GpuResourceStatus>& gpus, const discover::RailSets& sets) {
  const auto offers = published(rails, gpus);
  gauge(out, "railhead_devices", "Devices of a resource by state: healthy, unhealthy.");
  for (const auto& offer : offers) {
    const auto& devices = offer.devices;
    const auto healthy = std::count_if(devices.begin(), devices.end(),
                                       [](const auto& device) { return device.second.empty(); });
    const auto sample = [&](const char* state, double count) {
      out.sample({{"resource", offer.resource}, {"state", state}}, count * offer.replicas);
    };
    sample("healthy", static_cast<double>(healthy));
    sample("unhealthy", static_cast<double>(devices.size()) - static_cast<double>(healthy));
  }
  gauge(out, "railhead_device_unhealthy", "1 for each unhealthy device, with the reason in words.");
  for (const auto& offer : offers) {
    for (const auto& [id, reason] : offer.devices) {
      if (reason.empty()) continue;
      out.sample({{"resource", offer.resource}, {"device", id}, {"reason", reason}}, 1);
    }
  }
  gauge(out, "railhead_rail_sets_withheld", "Rail sets not offered, since they lack a VF.");
  out.sample({}, static_cast<double>(sets.withheld.size()));
  perOffer(out, Kind::kCounter, "railhead_allocations_total",
           "Containers that got devices from this agent.", offers,
           [](const auto& offer) { return static_cast<double>(offer.state.allocations); });
  perOffer(out, Kind::kGauge, "railhead_kubelet_registered",
           "1 when kubelet accepted the resource.", offers, [](const auto& offer) {
             return offer.state.phase == kube::PluginPhase::kRegistered ? 1.0 : 0.0;
           });
  perOffer(out, Kind::kCounter, "railhead_kubelet_registrations_total",
           "Registrations that kubelet accepted; each restart of kubelet takes one.", offers,
           [](const auto& offer) { return static_cast<double>(offer.state.registrations); });
  perOffer(out, Kind::kGauge, "railhead_kubelet_watchers",
           "Open ListAndWatch streams; 0 means that nobody hears of changes.", offers,
           [](const auto& offer) { return static_cast<double>(offer.state.watchers); });
}

void writeProfile(Exposition& out, const ProfileStatus& profile) {
  gauge(out, "railhead_profile_info",
        "1, with the hash of the tuned profile that containers get and the state of the one in the "
        "file.");
  if (profile.state == ProfileState::kOff) return;
  out.sample({{"hash", profile.hash}, {"state", std::string(profileStateName(profile.state))}}, 1);
}

void writeAttachments(Exposition& out, const std::vector<attach::Attachment>& attachments) {
  std::map<std::string, double> states{{"attached", 0}, {"attaching", 0}, {"detaching", 0}};
  for (const auto& one : attachments) {
    ++states[one.state == attach::AttachmentState::kAttached    ? "attached"
             : one.state == attach::AttachmentState::kAttaching ? "attaching"
                                                                : "detaching"];
  }
  gauge(out, "railhead_attachments", "Networks of pods by state: attached, attaching, detaching.");
  for (const auto& [state, count] : states) out.sample({{"state", state}}, count);
  gauge(out, "railhead_rail_held", "1 for each rail that a pod holds, with its holder.");
  for (const auto& one : attachments) {
    for (const auto& rail : one.rails) {
      out.sample({{"namespace", one.pod.podNamespace},
                  {"pod", one.pod.name},
                  {"interface", rail.podName},
                  {"pci", rail.vf.toString()},
                  {"device", rail.railSet}},
                 1);
    }
  }
}

void writePfs(Exposition& out, const discover::Node& node) {
  perPf(out, "railhead_pf_up", "1 when the PF is administratively up.", node,
        [](const auto& pf) { return pf.up ? 1.0 : 0.0; });
  perPf(out, "railhead_pf_carrier", "1 when the PF's link has carrier.", node,
        [](const auto& pf) { return pf.carrier ? 1.0 : 0.0; });
  perPf(out, "railhead_pf_speed_bits_per_second", "Rate of the PF's link.", node,
        [](const auto& pf) -> std::optional<double> {
          if (!pf.speed) return std::nullopt;
          return pf.speed->gbps() * 1e9;
        });
  perPf(out, "railhead_pf_vfs", "VFs the PF has.", node,
        [](const auto& pf) { return static_cast<double>(pf.numVfs); });
  perPf(out, "railhead_pf_pcie_lanes", "PCIe lanes in use.", node,
        [](const auto& pf) { return unlessZero(pf.pcie.width); });
  perPf(out, "railhead_pf_pcie_lanes_max", "PCIe lanes the function could use.", node,
        [](const auto& pf) { return unlessZero(pf.pcie.maxWidth); });
  perPf(out, "railhead_pf_pcie_transfers_per_second", "PCIe transfers a second and lane, in use.",
        node, [](const auto& pf) { return unlessZero(pf.pcie.gigatransfers * 1e9); });
  perPf(out, "railhead_pf_pcie_transfers_per_second_max",
        "PCIe transfers a second and lane the function could do.", node,
        [](const auto& pf) { return unlessZero(pf.pcie.maxGigatransfers * 1e9); });
}

void writeCounters(Exposition& out, const discover::CountersReport& report) {
  for (const auto& family : kNet) {
    out.family(Kind::kCounter, family.name, family.help);
    for (const auto& function : report.functions) {
      if (const auto value = valueOf(function.net, family.counter)) {
        out.sample(functionLabels(function), *value);
      }
    }
  }
  perDevice(out, report, kTraffic, &discover::RdmaCounters::traffic);
  out.family(Kind::kCounter, "railhead_rdma_retransmits_total",
             "Signs of packets that were lost and sent again, by the kernel's name of the cause.");
  for (const auto& function : report.functions) {
    for (const auto& device : function.rdma) {
      for (const auto& counter : device.retransmits) {
        auto labels = functionLabels(function);
        labels.emplace_back("device", device.device);
        labels.emplace_back("cause", std::string(counter.name));
        out.sample(labels, static_cast<double>(counter.value));
      }
    }
  }
  perDevice(out, report, kCongestion, &discover::RdmaCounters::congestion);
}

void writeCut(Exposition& out, bool cut) {
  gauge(out, "railhead_counters_cut", "1 when not every counter could be read in time.");
  out.sample({}, cut ? 1 : 0);
}

void writeVfTraffic(Exposition& out, const discover::VfTrafficReport& report) {
  for (const auto& family : kVf) {
    out.family(Kind::kCounter, family.name, family.help);
    for (const auto& one : report.vfs) {
      out.sample({{"pf", one.pf}, {"pci", one.pci.toString()}, {"vf", std::to_string(one.vfIndex)}},
                 static_cast<double>(one.carried.*family.counter));
    }
  }
}

}  // namespace railhead::agent
