#include "src/provision/goal.h"

#include "src/base/text.h"

#include <algorithm>
#include <cstdio>

namespace railhead::provision {
namespace {

std::string hex16(std::uint16_t value) {
  char text[8];
  std::snprintf(text, sizeof text, "0x%04x", value);
  return text;
}

Result<void> inRange(const std::string& field, int value, int low, int high,
                     const std::string& allowed) {
  if (value >= low && value <= high) return {};
  return Error(ErrorCode::kInvalidArgument,
               field + " is " + std::to_string(value) + ": allowed is " + allowed);
}

std::string label(const discover::PciFunction& function) {
  std::string text = function.netdev.empty() ? "(no netdev)" : function.netdev;
  text += " " + function.pci.toString() + " " + hex16(function.vendor) + ":" +
          hex16(function.device).substr(2);
  return text + (function.driver.empty() ? " without driver" : " " + function.driver);
}

// "a; b; c", at most a handful.
template <typename Functions>
std::string list(const Functions& functions) {
  constexpr std::size_t kMost = 8;
  std::vector<std::string> labels;
  for (const auto& function : functions) {
    if (labels.size() == kMost) {
      labels.push_back("... (" + std::to_string(functions.size()) + " in all)");
      break;
    }
    labels.push_back(label(function));
  }
  return labels.empty() ? "none" : join(labels, "; ");
}

// A goal that matches no PF: because there is none, or because it has no SR-IOV.
Error unmatched(const PfGoal& goal, const discover::Node& node) {
  const std::string what = goal.field + " selects " + goal.select.describe();
  std::vector<discover::PciFunction> plain;
  if (!goal.select.port) {
    std::copy_if(node.otherNics.begin(), node.otherNics.end(), std::back_inserter(plain),
                 [&](const auto& nic) { return goal.select.matches(nic); });
  }
  if (!plain.empty()) {
    return {ErrorCode::kUnsupported, what + ": " + list(plain) + " has no SR-IOV",
            "enable SR-IOV in the NIC's firmware and in the BIOS, or select another PF"};
  }
  return {ErrorCode::kNotFound, what + ": no PF of this node matches; it has " + list(node.pfs),
          "correct the selector, load the NIC's driver, or set mayBeAbsent for nodes without it"};
}

}  // namespace

bool PfSelector::matches(const discover::PciFunction& function) const {
  return (!vendor || *vendor == function.vendor) && (!device || *device == function.device) &&
         (!driver || *driver == function.driver) && (!name || *name == function.netdev) &&
         (!pci || *pci == function.pci);
}

bool PfSelector::matches(const discover::Pf& pf) const {
  return matches(static_cast<const discover::PciFunction&>(pf)) &&
         (!port || *port == pf.physPortName);
}

std::string PfSelector::describe() const {
  std::vector<std::string> parts;
  if (vendor) parts.push_back("vendor " + hex16(*vendor));
  if (device) parts.push_back("device " + hex16(*device));
  if (driver) parts.push_back("driver " + inQuotes(*driver));
  if (name) parts.push_back("name " + inQuotes(*name));
  if (pci) parts.push_back("PCI address " + pci->toString());
  if (port) parts.push_back("port " + inQuotes(*port));
  return parts.empty() ? "any PF" : join(parts, ", ");
}

Result<void> checkGoal(const Goal& goal) {
  if (goal.pfs.size() > kMaxGoals) {
    return Error(ErrorCode::kInvalidArgument, "provision has " + std::to_string(goal.pfs.size()) +
                                                  " entries: allowed are at most " +
                                                  std::to_string(kMaxGoals));
  }
  for (const PfGoal& pf : goal.pfs) {
    RAILHEAD_TRY(
        inRange(pf.field + ".vfs", pf.vfs, 0, kMaxVfs, "0 (none) to " + std::to_string(kMaxVfs)));
    if (pf.mtu == 0) continue;
    RAILHEAD_TRY(
        inRange(pf.field + ".mtu", pf.mtu, kMinMtu, kMaxMtu,
                "0 (leave it) or " + std::to_string(kMinMtu) + " to " + std::to_string(kMaxMtu)));
  }
  return {};
}

Result<std::vector<Selected>> selectPfs(const Goal& goal, const discover::Node& node) {
  std::vector<Selected> selected;
  for (const PfGoal& entry : goal.pfs) {
    bool found = false;
    for (const discover::Pf& pf : node.pfs) {
      if (!entry.select.matches(pf)) continue;
      found = true;
      for (const Selected& other : selected) {
        if (other.pf != &pf) continue;
        return Error(ErrorCode::kInvalidArgument,
                     entry.field + " selects " + entry.select.describe() + ": " + label(pf) +
                         " is selected by " + other.goal->field + " already",
                     "make one of the two selectors narrower");
      }
      selected.push_back({&pf, &entry});
    }
    if (!found && !entry.mayBeAbsent) return unmatched(entry, node);
  }
  std::sort(selected.begin(), selected.end(),
            [](const Selected& a, const Selected& b) { return a.pf->pci < b.pf->pci; });
  return selected;
}

}  // namespace railhead::provision
