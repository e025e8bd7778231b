#include "src/advertise/rail_health.h"

#include "src/discover/twins.h"

namespace railhead::advertise {
namespace {

std::string nameOf(const discover::Node& known, const PciAddress& pci) {
  const discover::Pf* pf = discover::findPf(known, pci);
  return pf == nullptr || pf->netdev.empty() ? pci.toString()
                                             : pf->netdev + " (" + pci.toString() + ")";
}

}  // namespace

std::string railTrouble(const discover::Node& node, const discover::Node& known,
                        const discover::Rail& rail) {
  const std::string name = "PF " + nameOf(known, rail.pf);
  const discover::Pf* pf = discover::findPf(node, rail.pf);
  if (pf == nullptr) return name + " is gone";
  if (pf->driver.empty()) return name + " has no driver";
  if (pf->netdev.empty()) return name + " has no netdev here: its driver is starting, or failed";
  const discover::Vf* vf = discover::findVf(*pf, rail.vfIndex);
  if (vf == nullptr) return "VF " + std::to_string(rail.vfIndex) + " of " + name + " is gone";
  if (vf->driver.empty()) return "VF " + vf->pci.toString() + " has no driver";
  for (const char* userspace : {"vfio", "uio"}) {
    if (vf->driver.find(userspace) != std::string::npos)
      return "VF " + vf->pci.toString() + " is bound to " + vf->driver + ", which makes no netdev";
  }
  if (!pf->up) return name + " is down";
  if (!pf->carrier) return name + " has no carrier: cable or switch port";
  for (const auto& device : pf->rdma) {
    if (!device.portState.empty() && device.portState != "ACTIVE")
      return "the RDMA port of " + name + ", " + device.name + ", is " + device.portState;
  }
  return {};
}

}  // namespace railhead::advertise
