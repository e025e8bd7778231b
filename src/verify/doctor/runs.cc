// What a run's log and measurements show.
#include "src/base/text.h"
#include "src/bench/ceiling.h"
#include "src/verify/doctor/checks.h"

#include <algorithm>
#include <map>
#include <set>

namespace railhead::verify::doctor {
namespace {

// A throttled NIC of a Spark gave 12.9 to 13.2 Gb/s, one that is well 92 and more.
constexpr double kThrottledBelow = 20e9;
constexpr double kFastLink = 100e9;

// The PF itself, or the one that a VF belongs to; nullptr for neither.
const discover::Pf* pfBehind(const Patient& patient, const discover::PciFunction& function) {
  for (const auto& pf : patient.node.pfs) {
    if (pf.pci == function.pci) return &pf;
    for (const auto& vf : pf.vfs) {
      if (vf.pci == function.pci) return &pf;
    }
  }
  return nullptr;
}

bool sameSlot(const PciAddress& a, const PciAddress& b) {
  return a.domain == b.domain && a.bus == b.bus && a.device == b.device;
}

struct RailUse {
  std::set<std::string> devices;  // of those here
  std::set<int> ranks;
};

// By host and not by process: where each GPU has a rail of its own, each process uses one.
std::map<std::string, RailUse> usedByHost(const Patient& patient) {
  std::map<std::string, RailUse> hosts;
  for (const auto& pair : patient.log->pairs()) {
    for (const auto* end : {&pair.send, &pair.receive}) {
      if (!end->process) continue;
      auto& use = hosts[patient.log->processes()[*end->process].host];
      use.ranks.insert(end == &pair.send ? pair.from : pair.to);
      for (const auto& path : end->paths) {
        for (const auto& device : patient.log->devicesOf(*end->process, path)) {
          if (portOf(patient, device) != nullptr) use.devices.insert(device);
        }
      }
    }
  }
  return hosts;
}

}  // namespace

std::string needsRates(const Patient& patient) {
  if (patient.railRates.empty()) return "no rail was measured: run railhead bench verbs";
  for (const auto& [device, rate] : patient.railRates) {
    if (portOf(patient, device) == nullptr)
      return "a rate is given for " + inQuotes(device) + ", and there is no such RDMA device here";
  }
  return "";
}

std::vector<Finding> socketFallback(const Patient& patient) {
  const auto rails = railsInUse(patient);
  if (rails.empty()) return {};
  std::set<std::string> ranks;
  for (const auto& pair : patient.log->pairs()) {
    for (const auto* end : {&pair.send, &pair.receive}) {
      for (const auto& path : end->paths) {
        if (path.medium != Medium::kNet || path.carrier != "Socket" || ranks.size() == 8) continue;
        ranks.insert(std::to_string(pair.from) + " -> " + std::to_string(pair.to));
      }
    }
  }
  if (ranks.empty()) return {};
  std::vector<std::string> names;
  for (const auto* port : rails) names.push_back(label(*port));
  return {{Severity::kBroken, "NCCL's transport",
           "channels of ranks " + join({ranks.begin(), ranks.end()}, ", ") +
               " go via NET/Socket while " + join(names, ", ") +
               (names.size() == 1 ? " is" : " are") + " up and active",
           "2-3 GB/s instead of 23 on two Sparks, while the GPU still shows 100 %",
           "look at the other findings: locked memory, GIDs and NCCL_IB_HCA are the usual causes; "
           "NCCL_IB_DISABLE must not be 1"}};
}

std::vector<Finding> oneRailInUse(const Patient& patient) {
  const auto rails = railsInUse(patient);
  if (rails.size() < 2) return {};
  std::vector<std::string> names;
  for (const auto* port : rails) names.push_back(port->device);
  std::vector<Finding> findings;
  for (const auto& [host, use] : usedByHost(patient)) {
    // A node of eight GPUs of which the log has one says nothing of the other rails.
    const bool allTold =
        patient.place == Place::kPod || use.ranks.size() >= patient.node.gpus.size();
    if (use.devices.size() != 1 || !allTold || findings.size() == 8) continue;
    findings.push_back({Severity::kDegraded, host.empty() ? "a node of the log" : host,
                        "all its channels use " + *use.devices.begin() + ", and " +
                            join(names, ", ") + " are up and active",
                        "one twin only: expect 11-12 of 24.5 GB/s on a Spark",
                        "set NCCL_IB_HCA=" + join(names, ",")});
  }
  return findings;
}

std::vector<Finding> mergedFunctions(const Patient& patient) {
  std::vector<Finding> findings;
  std::set<std::string> told;
  for (const auto& process : patient.log->processes()) {
    for (const auto& device : process.devices) {
      for (std::size_t i = 1; i < device.names.size(); ++i) {
        const auto* first = functionOf(patient, device.names[0]);
        const auto* other = functionOf(patient, device.names[i]);
        if (first == nullptr || other == nullptr || !sameSlot(first->pci, other->pci)) continue;
        const std::string name = join(device.names, "+");
        if (!told.insert(name).second) continue;
        findings.push_back({Severity::kDegraded, name,
                            "NCCL made one device of two functions of one slot (" +
                                first->pci.toString() + ", " + other->pci.toString() + ")",
                            "it counts as 400G and shares one PCIe x4 link: at most half of what "
                            "the twins reach",
                            "set NCCL_IB_MERGE_NICS=0, or name one function of each domain in "
                            "NCCL_IB_HCA"});
      }
    }
  }
  return findings;
}

std::vector<Finding> throttledNic(const Patient& patient) {
  std::vector<Finding> findings;
  for (const auto& [device, rate] : patient.railRates) {
    const auto* function = functionOf(patient, device);
    const auto* pf = function == nullptr ? nullptr : pfBehind(patient, *function);
    if (pf == nullptr || rate.bitsPerSecond >= kThrottledBelow) continue;
    const auto pcie = bench::pcieCeiling(pf->pcie.width, pf->pcie.gigatransfers);
    const bool fastPcie = pcie.has_value() && pcie->rate.bitsPerSecond >= kFastLink;
    const double line = pf->speed ? pf->speed->bitsPerSecond : 200e9;
    if (!fastPcie || line < kFastLink) continue;
    findings.push_back({Severity::kDegraded, device,
                        rate.toString() + " measured alone, though the port says " +
                            BitRate{line}.toString() + " and PCIe " + pcie->rate.toString(),
                        "a throttled NIC: 12.9-13.2 of 92-109 Gb/s; the kernel's 27 W warning is "
                        "printed with and without it",
                        "power the machine off at the mains for a minute, then measure again"});
  }
  return findings;
}

}  // namespace railhead::verify::doctor
