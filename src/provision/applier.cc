#include "src/provision/applier.h"

#include "src/base/text.h"
#include "src/discover/discover.h"
#include "src/provision/autoprobe.h"

#include <algorithm>
#include <cerrno>

namespace railhead::provision {
namespace {

constexpr int kKernelNotSupported = 524;  // ENOTSUPP: some drivers let this internal value out

bool isUnsupported(const Error& error) {
  return error.code == ErrorCode::kUnsupported || error.errnoValue == kKernelNotSupported;
}

bool followsRebind(StepKind kind) {
  return kind == StepKind::kVfNetdev || kind == StepKind::kVfMtu;
}

bool isSetting(StepKind kind) {
  return kind == StepKind::kVfMac || kind == StepKind::kVfTrust || kind == StepKind::kVfSpoofCheck;
}

bool touchesVfs(const Step& step) {
  return step.vf >= 0 || (step.kind == StepKind::kVfCount && step.number == 0);
}

netlink::VfChange vfChangeOf(const Step& step) {
  netlink::VfChange change;
  if (step.kind == StepKind::kVfMac) change.mac = step.mac;
  if (step.kind == StepKind::kVfTrust) change.trust = step.on;
  if (step.kind == StepKind::kVfSpoofCheck) change.spoofCheck = step.on;
  return change;
}

}  // namespace

Result<void> Applier::runUntilRebind(const PfPlan& plan) {
  RAILHEAD_TRY(mayGoOn(seams_).addContext(plan.name));
  RAILHEAD_TRY(stillFree(plan));
  Result<void> outcome;
  for (const Step& step : plan.steps) {
    if (followsRebind(step.kind)) continue;
    auto done = run(step);
    if (done.has_value()) continue;
    // A setting that fails must not keep the VFs from their drivers: the steps behind it bind them.
    if (!isSetting(step.kind)) {
      // Should this fail as well, the next apply() finds the record.
      static_cast<void>(Autoprobe(seams_.files, seams_.paths, plan.pf).restore().has_value());
      return done;
    }
    if (outcome.has_value()) outcome = std::move(done);
  }
  return outcome;
}

Result<void> Applier::runAfterRebind(const PfPlan& plan) {
  for (const Step& step : plan.steps) {
    if (followsRebind(step.kind)) RAILHEAD_TRY(run(step));
  }
  return {};
}

bool Applier::isWaived(const Step& step) const {
  return waived_.contains({step.kind, step.pf, step.vf});
}

Result<void> Applier::stillFree(const PfPlan& plan) {
  if (std::none_of(plan.steps.begin(), plan.steps.end(), touchesVfs)) return {};
  RAILHEAD_TRY_ASSIGN(const discover::Pf pf,
                      discover::discoverPf(seams_.files, seams_.paths, plan.pf));
  if (pf.vfs.empty()) return {};
  RAILHEAD_TRY_ASSIGN(const auto holders, seams_.holders.holders());
  const Holds holds(pf, holders, false);
  for (const Step& step : plan.steps) {
    const bool all = step.kind == StepKind::kVfCount && step.number == 0;
    if (all ? !holds.any() : step.vf < 0 || holds.of(step.vf) == nullptr) continue;
    return Error(ErrorCode::kBusy,
                 step.describe() + ": VFs were taken meanwhile: " + holds.describe(),
                 "apply again; what is held will be left alone");
  }
  return {};
}

Result<void> Applier::run(const Step& step) {
  if (isWaived(step)) return {};
  RAILHEAD_TRY(mayGoOn(seams_).addContext(step.describe()));
  if (progress_) progress_(step);
  RAILHEAD_TRY(carryOut(step).addContext(step.describe()));
  if (step.changesNode() && !isWaived(step)) report_.changes.push_back(step.describe());
  return {};
}

Result<void> Applier::carryOut(const Step& step) {
  switch (step.kind) {
    case StepKind::kPfUp:
    case StepKind::kPfMtu:
      return changePf(step);
    case StepKind::kAutoprobe:
      return Autoprobe(seams_.files, seams_.paths, step.pf).set(step.on);
    case StepKind::kVfCount:
      return setCount(step);
    case StepKind::kVfMac:
    case StepKind::kVfTrust:
    case StepKind::kVfSpoofCheck:
      return changeVf(step);
    case StepKind::kVfRebind:
      return rebind(step);
    case StepKind::kVfNetdev:
      return waitForNetdev(step);
    case StepKind::kVfMtu:
      return setVfMtu(step);
  }
  return Error(ErrorCode::kInternal, "a step of unknown kind");
}

Result<void> Applier::changePf(const Step& step) {
  RAILHEAD_TRY_ASSIGN(const netlink::Link link, links_.link(step.pfName));
  netlink::LinkChange change;
  if (step.kind == StepKind::kPfUp) change.up = true;
  if (step.kind == StepKind::kPfMtu) change.mtu = step.number;
  auto changed = links_.change(link.index, change);
  if (!changed.has_value() && changed.error().code == ErrorCode::kInvalidArgument) {
    changed.error().withRemedy("this NIC allows less: lower " + step.field + ".mtu");
  }
  return changed;
}

Result<void> Applier::setCount(const Step& step) {
  const std::string file = pfFile(step, "sriov_numvfs");
  auto written = seams_.files.writeFile(file, std::to_string(step.number));
  if (!written.has_value()) {
    Error error = std::move(written).error();
    if (error.code == ErrorCode::kBusy) {
      error.withRemedy("something else made VFs meanwhile: apply again, and let one tool do it");
    } else if (error.code != ErrorCode::kPermissionDenied) {
      error.withRemedy(
          "see the kernel log; often SR-IOV is off in the BIOS or in the NIC's "
          "firmware, or the kernel wants pci=realloc");
    }
    return error;
  }
  RAILHEAD_TRY_ASSIGN(const std::uint64_t now, seams_.files.readUnsigned(file));
  if (now == static_cast<std::uint64_t>(step.number)) return {};
  return Error(ErrorCode::kCheckFailed, file + " reads " + std::to_string(now) + " after writing " +
                                            std::to_string(step.number));
}

Result<void> Applier::changeVf(const Step& step) {
  RAILHEAD_TRY_ASSIGN(const netlink::Link link, links_.link(step.pfName));
  auto changed = links_.changeVf(link.index, step.vf, vfChangeOf(step));
  if (changed.has_value() || !isUnsupported(changed.error())) return changed;
  const bool isMac = step.kind == StepKind::kVfMac;
  if (!isMac && step.required) {
    return std::move(changed).error().withRemedy("the PF's driver has no such switch: leave out " +
                                                 step.field);
  }
  waived_.insert({step.kind, step.pf, step.vf});
  report_.warnings.push_back(step.describe() + ": the PF's driver cannot set this; the VF keeps " +
                             "what its driver chose");
  return {};
}

Result<void> Applier::rebind(const Step& step) {
  RAILHEAD_TRY_ASSIGN(const PciAddress vf, vfAddress(step));
  const std::string address = vf.toString();
  const std::string drivers = seams_.paths.sys + "/bus/pci/drivers";
  auto driver = seams_.files.linkName(seams_.paths.pciDevice(address) + "/driver");
  if (driver.has_value()) {
    RAILHEAD_TRY(seams_.files.writeFile(drivers + "/" + *driver + "/unbind", address));
    return seams_.files.writeFile(drivers + "/" + *driver + "/bind", address);
  }
  // Killed between the two writes above, or made while no driver was allowed to look: any driver
  // that knows the device. The kernel says success also when none does.
  RAILHEAD_TRY(seams_.files.writeFile(seams_.paths.sys + "/bus/pci/drivers_probe", address));
  if (seams_.files.linkName(seams_.paths.pciDevice(address) + "/driver").has_value()) return {};
  return noDriver(vf);
}

Error Applier::noDriver(const PciAddress& vf) {
  auto alias = seams_.files.readTrimmed(seams_.paths.pciDevice(vf.toString()) + "/modalias");
  const std::string module = alias.has_value() ? "modprobe " + *alias : "its kernel module";
  return {ErrorCode::kEnvironment, "no driver took VF " + vf.toString(),
          "load the VF's driver (" + module + ")"};
}

Result<void> Applier::waitForNetdev(const Step& step) {
  RAILHEAD_TRY_ASSIGN(const PciAddress vf, vfAddress(step));
  RAILHEAD_TRY(vfLink(vf, limits_.netdevDeadline));
  return {};
}

Result<void> Applier::setVfMtu(const Step& step) {
  RAILHEAD_TRY_ASSIGN(const PciAddress vf, vfAddress(step));
  RAILHEAD_TRY_ASSIGN(const netlink::Link link, vfLink(vf, limits_.netdevDeadline));
  netlink::LinkChange change;
  change.mtu = step.number;
  auto changed = links_.change(link.index, change);
  if (!changed.has_value() && changed.error().code == ErrorCode::kInvalidArgument) {
    changed.error().withRemedy("the VF's driver allows less: lower " + step.field + ".mtu");
  }
  return changed;
}

Result<netlink::Link> Applier::vfLink(const PciAddress& vf, std::chrono::milliseconds deadline) {
  const auto end = seams_.clock.now() + deadline;
  for (;;) {
    RAILHEAD_TRY_ASSIGN(const discover::PciFunction function,
                        discover::discoverFunction(seams_.files, seams_.paths, vf));
    if (function.driver.empty()) return noDriver(vf);
    if (!function.netdev.empty()) {
      auto link = links_.link(function.netdev);
      if (link.has_value() || link.error().code != ErrorCode::kNotFound) return link;
    }
    if (seams_.clock.now() >= end) {
      return Error(ErrorCode::kDeadlineExceeded,
                   "the driver " + function.driver + " of VF " + vf.toString() +
                       " made no netdev in this namespace within " +
                       std::to_string(deadline.count()) + " ms",
                   "look for the driver's reason in the kernel log (dmesg)");
    }
    RAILHEAD_TRY(mayGoOn(seams_));
    seams_.clock.sleepFor(limits_.pollInterval);
  }
}

Result<PciAddress> Applier::vfAddress(const Step& step) {
  const std::string link = pfFile(step, "virtfn" + std::to_string(step.vf));
  RAILHEAD_TRY_ASSIGN(const std::string name, seams_.files.linkName(link));
  return PciAddress::parse(name).addContext(link);
}

std::string Applier::pfFile(const Step& step, std::string_view name) const {
  return seams_.paths.pciDevice(step.pf.toString()) + "/" + std::string(name);
}

}  // namespace railhead::provision
