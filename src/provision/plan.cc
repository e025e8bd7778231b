#include "src/provision/plan.h"

#include "src/base/text.h"
#include "src/provision/mac_policy.h"

#include <algorithm>
#include <set>
#include <utility>

namespace railhead::provision {
namespace {

using discover::Pf;
using discover::Vf;
using netlink::VfSettings;

std::string label(const Pf& pf) {
  const std::string address = pf.pci.toString();
  return pf.netdev.empty() ? address : pf.netdev + " (" + address + ")";
}

std::string onOff(bool on) { return on ? "on" : "off"; }

// The stable addresses of a node's VFs.
class StableMacs {
 public:
  explicit StableMacs(const Observation& observed) : observed_(observed) {
    for (const Pf& pf : observed.node.pfs) {
      if (!seen_.insert(base(pf)).second) shared_.insert(base(pf));
    }
  }

  Mac of(const Pf& pf, int vf) const {
    const Mac own = base(pf);
    return own.isZero() || shared_.contains(own) ? stableVfMac(observed_.node.hostname, pf.pci, vf)
                                                 : stableVfMac(own, vf);
  }

 private:
  Mac base(const Pf& pf) const {
    const auto settings = observed_.settings.find(pf.pci);
    const bool known =
        settings != observed_.settings.end() && !settings->second.permanentMac.isZero();
    return known ? settings->second.permanentMac : pf.mac;
  }

  const Observation& observed_;
  std::set<Mac> seen_;
  std::set<Mac> shared_;
};

// Why this PF cannot be brought to its goal at all.
std::optional<Error> refusal(const Pf& pf, const PfGoal& goal) {
  if (goal.vfs > pf.totalVfs) {
    return Error(ErrorCode::kInvalidArgument,
                 goal.field + ".vfs is " + std::to_string(goal.vfs) + ": " + label(pf) +
                     " allows 0 to " + std::to_string(pf.totalVfs),
                 "ask for fewer, or raise the number of VFs in the NIC's firmware");
  }
  if (pf.driver.empty()) {
    return Error(ErrorCode::kEnvironment, label(pf) + " has no driver",
                 "load the kernel module of this NIC");
  }
  if (pf.netdev.empty()) {
    return Error(ErrorCode::kEnvironment,
                 label(pf) + " has the driver " + pf.driver + " and no netdev in this namespace",
                 "run in the host's network namespace, and leave the PF there");
  }
  return std::nullopt;
}

class PfPlanner {
 public:
  PfPlanner(const Selected& selected, const Observation& observed, const StableMacs& macs,
            PfPlan& plan)
      : pf_(*selected.pf),
        goal_(*selected.goal),
        observed_(observed),
        macs_(macs),
        holds_(pf_, observed.holders, observed.holdersUnknown.has_value()),
        plan_(plan) {
    const auto settings = observed.settings.find(pf_.pci);
    if (settings != observed.settings.end()) settings_ = &settings->second;
  }

  void run() {
    plan_.pf = pf_.pci;
    plan_.name = pf_.netdev;
    if (settings_ != nullptr && settings_->unreadable) {
      plan_.refused = settings_->unreadable;
      plan_.refused->addContext(label(pf_));
      return;
    }
    const int present = std::max(pf_.numVfs, static_cast<int>(pf_.vfs.size()));
    if (goal_.vfs == 0 && present == 0) {
      restoreAutoprobe(pf_.autoprobe);
      plan_.steps = std::move(rebind_);
      return;
    }
    plan_.refused = refusal(pf_, goal_);
    if (plan_.refused) return;
    if (goal_.vfs > 0) pfSteps();
    if (present != goal_.vfs) {
      changeCount(present);
    } else {
      for (const Vf& vf : pf_.vfs) existing(vf);
      if (observed_.holdersUnknown && !plan_.untouched.empty()) {
        refuseHeld("its VFs are not as wanted");
      }
    }
    if (plan_.refused) return;
    std::optional<bool> probing = holdsDriversOff_ ? false : pf_.autoprobe;
    if (needsDriver_ && probing == false) {
      settingsPhase_.push_back(autoprobe(true));
      probing = true;
    }
    restoreAutoprobe(probing);
    for (auto* phase : {&early_, &count_, &settingsPhase_, &rebind_, &wait_, &mtu_}) {
      std::move(phase->begin(), phase->end(), std::back_inserter(plan_.steps));
    }
  }

 private:
  Step step(StepKind kind, int vf = -1) const {
    Step made;
    made.kind = kind;
    made.pf = pf_.pci;
    made.pfName = pf_.netdev;
    made.vf = vf;
    made.field = goal_.field;
    return made;
  }

  Step mtuStep(StepKind kind, int vf, int before) const {
    Step made = step(kind, vf);
    made.number = goal_.mtu;
    if (before > 0) made.was = "was " + std::to_string(before);
    return made;
  }

  void pfSteps() {
    if (!pf_.up) early_.push_back(step(StepKind::kPfUp));
    if (goal_.mtu <= pf_.mtu) return;
    if (!holds_.any()) {
      early_.push_back(mtuStep(StepKind::kPfMtu, -1, pf_.mtu));
      return;
    }
    // Changing it resets the port under every pod.
    pfMtuDeferred_ = true;
    plan_.untouched.push_back(label(pf_) + ": MTU stays " + std::to_string(pf_.mtu) + " (wanted " +
                              std::to_string(goal_.mtu) +
                              ") while VFs are held: " + holds_.describe());
  }

  void changeCount(int present) {
    if (present > 0 && holds_.any()) {
      refuseHeld(std::to_string(present) + " VFs stand, " + std::to_string(goal_.vfs) +
                 " are wanted, and changing the number removes them all");
      return;
    }
    const auto add = [&](int from, int to) {
      Step made = step(StepKind::kVfCount);
      made.number = to;
      made.was = "now " + std::to_string(from);
      count_.push_back(std::move(made));
    };
    if (present > 0) add(present, 0);
    if (goal_.vfs == 0) return;
    // A driver that finds the MAC there needs to look once only, which halves the time.
    holdsDriversOff_ = pf_.autoprobe.has_value();
    if (pf_.autoprobe == true) count_.push_back(autoprobe(false));
    add(0, goal_.vfs);
    needsDriver_ = true;
    for (int i = 0; i < goal_.vfs; ++i) fresh(i);
  }

  void refuseHeld(const std::string& why) {
    if (observed_.holdersUnknown) {
      plan_.refused = Error(ErrorCode::kUnavailable,
                            label(pf_) + ": " + why + ", and who holds them cannot be told: " +
                                observed_.holdersUnknown->message,
                            observed_.holdersUnknown->remedy);
    } else {
      plan_.refused =
          Error(ErrorCode::kBusy, label(pf_) + ": " + why + "; held are " + holds_.describe(),
                "end what holds them, or keep " + goal_.field + ".vfs as it is");
    }
  }

  // A VF that does not exist yet: everything a driver may have chosen otherwise is set. Trust is
  // off on every new VF.
  void fresh(int vf) {
    if (goal_.mac == MacPolicy::kStable) macStep(vf, macs_.of(pf_, vf), "");
    if (goal_.trust && goal_.trust->on) {
      switchStep(StepKind::kVfTrust, vf, *goal_.trust, ".trust", "");
    }
    if (goal_.spoofCheck) {
      switchStep(StepKind::kVfSpoofCheck, vf, *goal_.spoofCheck, ".spoofCheck", "");
    }
    rebindSteps(vf, holdsDriversOff_ ? "" : "again, so that the MAC takes effect");
  }

  Step autoprobe(bool on) const {
    Step made = step(StepKind::kAutoprobe);
    made.on = on;
    return made;
  }

  // A system on which no driver may take new VFs was set up so by somebody.
  void restoreAutoprobe(std::optional<bool> now) {
    auto before = pf_.autoprobe;
    if (settings_ != nullptr && settings_->autoprobeBefore) before = settings_->autoprobeBefore;
    if (!now || !before || now == before) return;
    Step made = autoprobe(*before);
    made.was = "as it was";
    rebind_.push_back(std::move(made));
  }

  void macStep(int vf, const Mac& mac, std::string was) {
    Step made = step(StepKind::kVfMac, vf);
    made.mac = mac;
    made.was = std::move(was);
    settingsPhase_.push_back(std::move(made));
  }

  void switchStep(StepKind kind, int vf, const VfSwitch& wanted, std::string_view field,
                  std::string was) {
    Step made = step(kind, vf);
    made.on = wanted.on;
    made.required = wanted.required;
    made.field += field;
    made.was = std::move(was);
    settingsPhase_.push_back(std::move(made));
  }

  void rebindSteps(int vf, std::string why) {
    needsDriver_ = true;
    Step made = step(StepKind::kVfRebind, vf);
    made.was = std::move(why);
    rebind_.push_back(std::move(made));
    wait_.push_back(step(StepKind::kVfNetdev, vf));
    if (goal_.mtu > 0 && !pfMtuDeferred_) mtu_.push_back(mtuStep(StepKind::kVfMtu, vf, 0));
  }

  const VfSettings* settingsOf(int vf) const {
    if (settings_ == nullptr) return nullptr;
    for (const VfSettings& candidate : settings_->vfs) {
      if (candidate.index == vf) return &candidate;
    }
    return nullptr;
  }

  // Whether another function of this node has this address.
  bool isShared(const Mac& mac, const Vf& own) const {
    for (const Pf& pf : observed_.node.pfs) {
      if (pf.mac == mac) return true;
      for (const Vf& vf : pf.vfs) {
        if (vf.pci != own.pci && vf.mac == mac) return true;
      }
    }
    if (settings_ == nullptr) return false;
    return std::any_of(settings_->vfs.begin(), settings_->vfs.end(), [&](const VfSettings& vf) {
      return vf.index != own.index && vf.mac == mac;
    });
  }

  static bool guidIsZero(const Vf& vf) {
    return std::any_of(vf.rdma.begin(), vf.rdma.end(), [](const discover::RdmaDevice& device) {
      return device.nodeGuid && device.nodeGuid->isZero();
    });
  }

  Mac wantedMac(const Vf& vf, const VfSettings& now) const {
    const Mac stable = macs_.of(pf_, vf.index);
    if (goal_.mac == MacPolicy::kStable) return stable;
    const Mac current = now.mac.isZero() ? vf.mac : now.mac;
    const bool unusable = current.isZero() || isShared(current, vf) ||
                          (now.mac.isZero() && guidIsZero(vf));  // mlx5 makes it from the admin MAC
    return unusable ? stable : current;
  }

  void existing(const Vf& vf) {
    const VfSettings* now = settingsOf(vf.index);
    const std::string* holder = holds_.of(vf.index);
    const std::size_t mark = settingsPhase_.size();
    std::optional<std::string> rebind;
    if (now != nullptr) existingSettings(vf, *now, rebind);
    if (vf.driver.empty()) rebind = "it has none";
    if (rebind && holder == nullptr) {
      rebindSteps(vf.index, *rebind);
    } else if (goal_.mtu > 0 && !vf.netdev.empty() && vf.mtu != goal_.mtu && !pfMtuDeferred_) {
      mtu_.push_back(mtuStep(StepKind::kVfMtu, vf.index, vf.mtu));
    }
    if (holder != nullptr) setAside(vf, *holder, rebind, mark);
  }

  // Steps for what the PF knows; `rebind` gets the reason when the driver must look again.
  void existingSettings(const Vf& vf, const VfSettings& now, std::optional<std::string>& rebind) {
    const Mac wanted = wantedMac(vf, now);
    const bool keep = goal_.mac == MacPolicy::kKeep && now.mac.isZero() && wanted == vf.mac;
    if (now.mac != wanted && !keep) {
      macStep(vf.index, wanted, "was " + now.mac.toString());
      rebind = "again, so that the MAC takes effect";
    } else if (!vf.netdev.empty() && vf.mac != wanted) {
      rebind = "again, its netdev still has the MAC " + vf.mac.toString();
    } else if (guidIsZero(vf)) {
      rebind = "again, its node GUID is zero";
    }
    if (goal_.trust && goal_.trust->on != now.trust) {
      switchStep(StepKind::kVfTrust, vf.index, *goal_.trust, ".trust", "was " + onOff(now.trust));
    }
    if (goal_.spoofCheck && goal_.spoofCheck->on != now.spoofCheck) {
      switchStep(StepKind::kVfSpoofCheck, vf.index, *goal_.spoofCheck, ".spoofCheck",
                 "was " + onOff(now.spoofCheck));
    }
  }

  // A held VF: what would have been done becomes one line, and is not done.
  void setAside(const Vf& vf, const std::string& holder, const std::optional<std::string>& rebind,
                std::size_t settingsMark) {
    std::vector<std::string> differs;
    const auto take = [&](std::vector<Step>& phase, std::size_t mark) {
      for (std::size_t i = mark; i < phase.size(); ++i) {
        if (phase[i].vf == vf.index) differs.push_back(phase[i].describe());
      }
      phase.resize(mark);
    };
    take(settingsPhase_, settingsMark);
    if (!mtu_.empty() && mtu_.back().vf == vf.index) take(mtu_, mtu_.size() - 1);
    if (differs.empty() && rebind) differs.push_back("bind its driver (" + *rebind + ")");
    if (differs.empty() && !holds_.isGuess(vf.index)) return;
    std::string line = label(pf_) + " VF " + std::to_string(vf.index) + " is held by " + holder;
    if (!differs.empty()) line += "; not done: " + join(differs, ", ");
    plan_.untouched.push_back(std::move(line));
  }

  const Pf& pf_;
  const PfGoal& goal_;
  const Observation& observed_;
  const StableMacs& macs_;
  const Holds holds_;
  const PfSettings* settings_ = nullptr;
  PfPlan& plan_;
  bool pfMtuDeferred_ = false;
  bool needsDriver_ = false;
  bool holdsDriversOff_ = false;  // while new VFs get their settings
  std::vector<Step> early_, count_, settingsPhase_, rebind_, wait_, mtu_;
};

}  // namespace

Result<Plan> makePlan(const Goal& goal, const Observation& observed) {
  RAILHEAD_TRY(checkGoal(goal));
  RAILHEAD_TRY_ASSIGN(const auto selected, selectPfs(goal, observed.node));
  const StableMacs macs(observed);
  Plan plan;
  plan.pfs.resize(selected.size());
  for (std::size_t i = 0; i < selected.size(); ++i) {
    PfPlanner(selected[i], observed, macs, plan.pfs[i]).run();
  }
  return plan;
}

}  // namespace railhead::provision
