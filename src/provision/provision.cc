#include "src/provision/provision.h"

#include "src/base/text.h"
#include "src/discover/discover.h"
#include "src/provision/applier.h"
#include "src/provision/autoprobe.h"

#include <algorithm>
#include <set>
#include <utility>

namespace railhead::provision {
namespace {

// One to do it, one for what a driver chose otherwise than planned. What is left then is an error.
constexpr int kRounds = 2;

bool netdevIsMissing(const discover::Pf& pf, const Observation& observed) {
  return std::any_of(pf.vfs.begin(), pf.vfs.end(), [&](const discover::Vf& vf) {
    if (vf.driver.empty() || !vf.netdev.empty()) return false;
    return std::none_of(observed.holders.begin(), observed.holders.end(),
                        [&](const Holder& holder) { return holder.vf == vf.pci; });
  });
}

// One apply() call: what failed, and what is still worth doing.
class Application {
 public:
  Application(Applier& applier, ApplyReport& report) : applier_(applier), report_(report) {}

  // The steps of a plan that are left to do; its refusals become failures.
  Plan take(Plan plan) {
    report_.untouched.clear();
    for (PfPlan& pf : plan.pfs) {
      for (auto& line : pf.untouched) report_.untouched.push_back(std::move(line));
      if (pf.refused) fail(pf, *pf.refused);
      std::erase_if(pf.steps, [&](const Step& step) { return applier_.isWaived(step); });
    }
    std::erase_if(plan.pfs, [&](const PfPlan& pf) {
      const bool onlyWaits = std::none_of(pf.steps.begin(), pf.steps.end(),
                                          [](const Step& step) { return step.changesNode(); });
      return onlyWaits || failed_.contains(pf.pf);
    });
    return plan;
  }

  void run(const Plan& plan) {
    for (const PfPlan& pf : plan.pfs) check(pf, applier_.runUntilRebind(pf));
    for (const PfPlan& pf : plan.pfs) {
      if (!failed_.contains(pf.pf)) check(pf, applier_.runAfterRebind(pf));
    }
  }

  // After the last round: what the node still lacks was done and did not hold.
  void failWhatIsLeft(const Plan& plan) {
    for (const PfPlan& pf : plan.pfs) {
      std::vector<std::string> left;
      for (const Step& step : pf.steps) {
        if (step.changesNode()) left.push_back(step.describe());
      }
      fail(pf, Error(ErrorCode::kCheckFailed,
                     "read back: the node is still not as wanted: " + join(left, ", "),
                     "another tool may be changing the same VFs; else see the kernel log"));
    }
  }

 private:
  void check(const PfPlan& pf, Result<void> done) {
    if (!done.has_value()) fail(pf, std::move(done).error());
  }
  void fail(const PfPlan& pf, Error error) {
    if (failed_.insert(pf.pf).second)
      report_.failures.push_back({pf.pf, pf.name, std::move(error)});
  }

  Applier& applier_;
  ApplyReport& report_;
  std::set<PciAddress> failed_;
};

}  // namespace

Result<void> mayGoOn(const Seams& seams) {
  if (!seams.stop || !seams.stop()) return {};
  return Error(ErrorCode::kUnavailable, "told to stop", "apply again: that goes on from here");
}

Result<void> ApplyReport::outcome() const {
  if (failures.empty()) return {};
  Error first = failures.front().error;
  if (failures.size() > 1) {
    first.message += " (and " + std::to_string(failures.size() - 1) + " more PFs failed)";
  }
  return first;
}

Result<Observation> Provisioner::observe() {
  Observation observed;
  RAILHEAD_TRY_ASSIGN(observed.node, discover::discoverNode(seams_.files, seams_.paths));
  RAILHEAD_TRY_ASSIGN(const auto links, seams_.netlink.openLinks(nullptr));
  for (const discover::Pf& pf : observed.node.pfs) {
    if (pf.netdev.empty()) continue;
    auto link = links->link(pf.netdev);
    if (!link.has_value()) continue;  // gone or renamed since: the plan says what it lacks
    PfSettings& settings = observed.settings[pf.pci];
    settings.permanentMac = link->permanentMac;
    auto before = Autoprobe(seams_.files, seams_.paths, pf.pci).before();
    auto vfs = links->vfs(link->index);
    if (!before.has_value()) {
      settings.unreadable = std::move(before).error();
    } else if (!vfs.has_value()) {
      settings.unreadable = std::move(vfs).error();
    } else {
      settings.autoprobeBefore = *before;
      settings.vfs = std::move(*vfs);
    }
  }
  auto holders = seams_.holders.holders();
  if (holders.has_value()) {
    observed.holders = std::move(*holders);
  } else {
    observed.holdersUnknown = std::move(holders).error();
  }
  return observed;
}

Result<Observation> Provisioner::settled(const Goal& goal) {
  const auto end = seams_.clock.now() + limits_.settleDeadline;
  for (;;) {
    RAILHEAD_TRY_ASSIGN(Observation observed, observe());
    RAILHEAD_TRY_ASSIGN(const auto selected, selectPfs(goal, observed.node));
    const bool missing = std::any_of(selected.begin(), selected.end(), [&](const Selected& entry) {
      return netdevIsMissing(*entry.pf, observed);
    });
    if (!missing || seams_.clock.now() >= end) return observed;
    RAILHEAD_TRY(mayGoOn(seams_).addContext("wait for the netdevs of drivers at work"));
    seams_.clock.sleepFor(limits_.settleInterval);
  }
}

Result<Plan> Provisioner::plan(const Goal& goal) {
  RAILHEAD_TRY(checkGoal(goal));
  RAILHEAD_TRY_ASSIGN(const Observation observed, settled(goal));
  return makePlan(goal, observed);
}

Result<ApplyReport> Provisioner::apply(const Goal& goal, const Progress& progress) {
  const auto start = seams_.clock.now();
  RAILHEAD_TRY(checkGoal(goal));
  RAILHEAD_TRY_ASSIGN(const auto links, seams_.netlink.openLinks(nullptr));
  RAILHEAD_TRY_ASSIGN(Observation observed, settled(goal));
  for (const discover::Pf& pf : observed.node.pfs) {
    // A process that was killed right after putting it back left its record.
    const auto settings = observed.settings.find(pf.pci);
    if (settings != observed.settings.end() && pf.autoprobe &&
        settings->second.autoprobeBefore == pf.autoprobe) {
      auto restored = Autoprobe(seams_.files, seams_.paths, pf.pci).restore();
      if (!restored.has_value()) settings->second.unreadable = std::move(restored).error();
    }
  }
  ApplyReport report;
  Applier applier(seams_, limits_, *links, report, progress);
  Application application(applier, report);
  for (int round = 0;; ++round) {
    RAILHEAD_TRY_ASSIGN(Plan plan, makePlan(goal, observed));
    plan = application.take(std::move(plan));
    if (plan.pfs.empty()) break;
    if (round == kRounds) {
      application.failWhatIsLeft(plan);
      break;
    }
    application.run(plan);
    RAILHEAD_TRY_ASSIGN(observed, observe().addContext("read back"));
  }
  report.node = std::move(observed.node);
  report.seconds = std::chrono::duration<double>(seams_.clock.now() - start).count();
  return report;
}

}  // namespace railhead::provision
