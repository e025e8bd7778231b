// How steps and plans read.
#include "src/base/text.h"
#include "src/provision/plan.h"

#include <algorithm>

namespace railhead::provision {
namespace {

std::string action(const Step& step) {
  const std::string onOff = step.on ? "on" : "off";
  switch (step.kind) {
    case StepKind::kPfUp:
      return "bring up";
    case StepKind::kPfMtu:
    case StepKind::kVfMtu:
      return "MTU " + std::to_string(step.number);
    case StepKind::kAutoprobe:
      return step.on ? "let drivers take VFs (sriov_drivers_autoprobe 1)"
                     : "keep drivers off new VFs (sriov_drivers_autoprobe 0)";
    case StepKind::kVfCount:
      return step.number == 0 ? "remove all VFs" : "make " + std::to_string(step.number) + " VFs";
    case StepKind::kVfMac:
      return "MAC " + step.mac.toString();
    case StepKind::kVfTrust:
      return "trust " + onOff;
    case StepKind::kVfSpoofCheck:
      return "spoof check " + onOff;
    case StepKind::kVfRebind:
      return "bind its driver";
    case StepKind::kVfNetdev:
      return "wait for its netdev";
  }
  return "";
}

}  // namespace

std::string Step::describe() const {
  std::string text = pfName;
  if (vf >= 0) text += " VF " + std::to_string(vf);
  text += ": " + action(*this);
  return was.empty() ? text : text + " (" + was + ")";
}

bool Plan::empty() const {
  return std::all_of(pfs.begin(), pfs.end(),
                     [](const PfPlan& pf) { return pf.steps.empty() && !pf.refused; });
}

std::vector<std::string> Plan::lines() const {
  std::vector<std::string> lines;
  for (const PfPlan& pf : pfs) {
    if (pf.refused) lines.push_back("refused: " + pf.refused->describe());
    for (const Step& step : pf.steps) lines.push_back(step.describe());
    for (const std::string& line : pf.untouched) lines.push_back("left alone: " + line);
  }
  return lines;
}

Holds::Holds(const discover::Pf& pf, const std::vector<Holder>& holders, bool unknown) {
  for (const discover::Vf& vf : pf.vfs) {
    const auto holder = std::find_if(holders.begin(), holders.end(),
                                     [&](const Holder& h) { return h.vf == vf.pci; });
    if (holder != holders.end()) {
      byIndex_[vf.index] = holder->pod;
    } else if (!vf.driver.empty() && vf.netdev.empty()) {
      byIndex_[vf.index] = "an unknown namespace (its netdev is not in this one)";
      guesses_.insert(vf.index);
    } else if (unknown) {
      byIndex_[vf.index] = "somebody unknown";
    } else {
      continue;
    }
    address_[vf.index] = vf.pci;
  }
}

const std::string* Holds::of(int vfIndex) const {
  const auto found = byIndex_.find(vfIndex);
  return found == byIndex_.end() ? nullptr : &found->second;
}

std::string Holds::describe() const {
  std::vector<std::string> parts;
  parts.reserve(byIndex_.size());
  for (const auto& [index, holder] : byIndex_) {
    parts.push_back("VF " + std::to_string(index) + " (" + address_.at(index).toString() + ") by " +
                    holder);
  }
  return join(parts, ", ");
}

}  // namespace railhead::provision
