// The NIC: its twins, links and VFs.
#include "src/base/text.h"
#include "src/bench/ceiling.h"
#include "src/verify/doctor/checks.h"

#include <algorithm>
#include <cstdio>
#include <map>

namespace railhead::verify::doctor {
namespace {

std::string name(const discover::PciFunction& function) {
  const std::string address = function.pci.toString();
  return function.netdev.empty() ? address : function.netdev + " (" + address + ")";
}

std::string gigabytes(double bitsPerSecond) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f GB/s", bitsPerSecond / 8e9);
  return text;
}

std::vector<const discover::Pf*> pfsOf(const Patient& patient, const discover::Cage& cage) {
  std::vector<const discover::Pf*> pfs;
  for (const auto& address : cage.pfs) {
    if (const auto* pf = discover::findPf(patient.node, address)) pfs.push_back(pf);
  }
  return pfs;
}

// What one function and its whole cage could carry, as "11-12 of 24.5 GB/s" needs it.
std::string halfOf(const discover::Pf& pf) {
  const auto line = pf.speed.value_or(BitRate{200e9});
  const auto cable = bench::wireCeiling(line, 4096);
  const auto pcie = bench::pcieCeiling(pf.pcie.width, pf.pcie.gigatransfers);
  if (!cable.has_value() || !pcie.has_value()) return "part of the cable's rate";
  const auto one = bench::lowest({*cable, *pcie});
  const auto all = bench::cageCeiling(*cable, {one, one});
  // Two Sparks reached 11 to 12 GB/s over one twin (ceiling 15.8 before PCIe headers).
  return "expect 11-12 of " + gigabytes(all.rate.bitsPerSecond) + " on a Spark, at most " +
         gigabytes(one.rate.bitsPerSecond) + " before PCIe headers";
}

template <typename Is>
void splitBy(const std::vector<const discover::Pf*>& pfs, Is is,
             std::vector<const discover::Pf*>& with, std::vector<const discover::Pf*>& without) {
  for (const auto* pf : pfs) (is(*pf) ? with : without).push_back(pf);
}

// Every function of this place with an RDMA device, PFs first.
std::vector<const discover::PciFunction*> rdmaFunctions(const Patient& patient) {
  std::vector<const discover::PciFunction*> functions;
  for (const auto& pf : patient.node.pfs) {
    if (!pf.rdma.empty()) functions.push_back(&pf);
  }
  for (const auto& pf : patient.node.pfs) {
    for (const auto& vf : pf.vfs) {
      if (!vf.rdma.empty()) functions.push_back(&vf);
    }
  }
  for (const auto& nic : patient.node.otherNics) {
    if (!nic.rdma.empty()) functions.push_back(&nic);
  }
  return functions;
}

Finding mtuFinding(const std::string& subject, int mtu, const std::string& evidence) {
  const int rdma = bench::rdmaMtuFor(mtu);
  Finding finding;
  finding.subject = subject;
  finding.evidence = evidence + ": an RDMA MTU of " + std::to_string(rdma);
  const auto now = bench::wireCeiling({200e9}, std::max(rdma, 256));
  const auto best = bench::wireCeiling({200e9}, 4096);
  finding.consequence = "of a 200 Gb/s line at most " + gigabytes(now->rate.bitsPerSecond) +
                        " instead of " + gigabytes(best->rate.bitsPerSecond) +
                        ", and four times the packets";
  finding.remedy = "set MTU 9000 (4200 is enough) on every PF and VF at both ends";
  return finding;
}

}  // namespace

std::string needsTwins(const Patient& patient) {
  if (patient.place == Place::kPod) return "the PFs' links cannot be seen from inside a pod";
  const bool any = std::any_of(patient.cages.cages.begin(), patient.cages.cages.end(),
                               [](const auto& cage) { return cage.pfs.size() > 1; });
  return any ? "" : "this node has no twins: no two PFs report the same port";
}

std::string needsRdma(const Patient& patient) {
  return patient.ports.empty() ? "no RDMA device can be seen here" : "";
}

std::string needsVfs(const Patient& patient) {
  const bool any = std::any_of(patient.node.pfs.begin(), patient.node.pfs.end(),
                               [](const auto& pf) { return !pf.vfs.empty(); });
  return any ? "" : "there are no VFs";
}

std::vector<Finding> oneTwinDown(const Patient& patient) {
  std::vector<Finding> findings;
  for (const auto& cage : patient.cages.cages) {
    std::vector<const discover::Pf*> up, down;
    splitBy(
        pfsOf(patient, cage), [](const auto& pf) { return pf.up && pf.carrier; }, up, down);
    if (up.empty() || down.empty()) continue;
    for (const auto* pf : down) {
      findings.push_back({Severity::kDegraded, name(*pf),
                          std::string(pf->up ? "no carrier" : "administratively down") +
                              " while its twin " + name(*up.front()) + " has a link",
                          "one twin only: " + halfOf(*up.front()),
                          "ip link set " + (pf->netdev.empty() ? "NETDEV" : pf->netdev) +
                              " up; both twins share the cable, so both have a link"});
    }
  }
  return findings;
}

std::vector<Finding> vfsOnOneTwin(const Patient& patient) {
  std::vector<Finding> findings;
  for (const auto& cage : patient.cages.cages) {
    const auto pfs = pfsOf(patient, cage);
    if (pfs.size() < 2) continue;
    const auto [least, most] = std::minmax_element(
        pfs.begin(), pfs.end(), [](const auto* a, const auto* b) { return a->numVfs < b->numVfs; });
    if ((*least)->numVfs == (*most)->numVfs) continue;
    findings.push_back(
        {Severity::kDegraded, name(**least),
         "sriov_numvfs is " + std::to_string((*least)->numVfs) + " here and " +
             std::to_string((*most)->numVfs) + " on its twin " + name(**most),
         "a pod with VFs of one twin reaches half the cable: " + halfOf(**most),
         "give both twins the same number of VFs and hand them out in pairs (rail sets)"});
  }
  return findings;
}

std::vector<Finding> narrowPcie(const Patient& patient) {
  std::vector<Finding> findings;
  for (const auto& pf : patient.node.pfs) {
    if (pf.pcie.width == 0 || pf.pcie.width >= pf.pcie.maxWidth) continue;
    const auto now = bench::pcieCeiling(pf.pcie.width, pf.pcie.gigatransfers);
    const auto best = bench::pcieCeiling(pf.pcie.maxWidth, pf.pcie.gigatransfers);
    Finding finding;
    finding.subject = name(pf);
    finding.evidence = "current_link_width " + std::to_string(pf.pcie.width) + ", max_link_width " +
                       std::to_string(pf.pcie.maxWidth);
    finding.consequence =
        now.has_value() && best.has_value()
            ? "at most " + now->rate.toString() + " instead of " + best->rate.toString()
            : "a part of the PCIe rate";
    const bool asus = toLower(patient.firmware.vendor).find("asus") != std::string::npos;
    finding.remedy = asus ? "update the BIOS (this one: " + patient.firmware.biosDate +
                                "): the ASUS GX10 lost lanes of the second domain before 2026-04"
                          : "update the firmware and BIOS, then reseat the card or check the slot";
    findings.push_back(std::move(finding));
  }
  return findings;
}

std::vector<Finding> smallRdmaMtu(const Patient& patient) {
  std::vector<Finding> findings;
  const auto tooSmall = [](int mtu) { return mtu > 0 && bench::rdmaMtuFor(mtu) < 4096; };
  for (const auto& pf : patient.node.pfs) {
    if (pf.rdma.empty() || pf.linkType == discover::LinkType::kInfiniband) continue;
    if (pf.carrier && tooSmall(pf.mtu)) {
      findings.push_back(mtuFinding(name(pf), pf.mtu, "MTU " + std::to_string(pf.mtu)));
    }
    for (const auto& vf : pf.vfs) {
      if (vf.rdma.empty() || vf.netdev.empty() || !tooSmall(vf.mtu)) continue;
      const bool inherits = pf.mtu > vf.mtu;
      findings.push_back(mtuFinding(name(vf), vf.mtu,
                                    "MTU " + std::to_string(vf.mtu) +
                                        (inherits ? " under a PF with " + std::to_string(pf.mtu) +
                                                        " (a VF does not inherit its PF's)"
                                                  : "")));
    }
  }
  return findings;
}

std::vector<Finding> cableReplugged(const Patient& patient) {
  std::vector<Finding> findings;
  for (const auto& pf : patient.node.pfs) {
    const auto changes = patient.carriers.find(pf.netdev);
    if (pf.netdev.empty() || changes == patient.carriers.end() || !pf.carrier) continue;
    if (changes->second.up < 2) continue;
    findings.push_back(
        {Severity::kNotice, name(pf),
         "carrier_up_count " + std::to_string(changes->second.up) + ", carrier_down_count " +
             std::to_string(changes->second.down) + " since the driver was loaded",
         "on a Spark a cable replugged since boot took all_reduce from 21 to 2.8 GB/s; a reboot of "
         "the other end counts here, too, and does no harm",
         "measure; if a rail is slow, reboot this node"});
  }
  return findings;
}

std::vector<Finding> vfIdentity(const Patient& patient) {
  std::vector<Finding> findings;
  std::map<Mac, std::string> seen;
  for (const auto& pf : patient.node.pfs) {
    for (const auto& vf : pf.vfs) {
      std::string evidence;
      if (!vf.netdev.empty() && vf.mac.isZero()) evidence = "its MAC is zero";
      if (!vf.netdev.empty() && !vf.mac.isZero()) {
        const auto [first, added] = seen.emplace(vf.mac, name(vf));
        if (!added) evidence = "its MAC " + vf.mac.toString() + " is also that of " + first->second;
      }
      for (const auto& rdma : vf.rdma) {
        if (!rdma.nodeGuid || !rdma.nodeGuid->isZero()) continue;
        evidence += (evidence.empty() ? "" : ", ") + ("the node GUID of " + rdma.name + " is zero");
      }
      if (evidence.empty()) continue;
      findings.push_back({Severity::kBroken, name(vf), evidence, "no traffic, and rdma_cm fails",
                          "set an administrative MAC on the PF (ip link set PF vf " +
                              std::to_string(vf.index) +
                              " mac ...) and bind the VF's driver anew"});
    }
  }
  return findings;
}

std::vector<Finding> vfUnbound(const Patient& patient) {
  std::vector<Finding> findings;
  for (const auto& pf : patient.node.pfs) {
    for (const auto& vf : pf.vfs) {
      if (!vf.driver.empty()) continue;
      findings.push_back({Severity::kBroken, name(vf), "no driver is bound to it",
                          "it has no netdev and no RDMA device: a pod that gets it has no rail",
                          "bind it: echo " + vf.pci.toString() +
                              " > /sys/bus/pci/drivers_probe, and see that the module is loaded"});
    }
  }
  return findings;
}

std::vector<Finding> bonded(const Patient& patient) {
  std::vector<Finding> findings;
  for (const auto* function : rdmaFunctions(patient)) {
    const auto bond = patient.bonds.find(function->netdev);
    if (function->netdev.empty() || bond == patient.bonds.end()) continue;
    findings.push_back({Severity::kBroken, name(*function), "it is a port of " + bond->second,
                        "bonding takes RDMA from the twins of a Spark: NCCL falls back to sockets, "
                        "2-3 GB/s",
                        "take it out of " + bond->second +
                            "; NCCL spreads its channels over both twins by itself"});
  }
  return findings;
}

}  // namespace railhead::verify::doctor
