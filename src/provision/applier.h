// Carries out single steps. Used by Provisioner only; not thread-safe.
#pragma once

#include "src/base/result.h"
#include "src/netlink/client.h"
#include "src/provision/plan.h"
#include "src/provision/provision.h"

#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <vector>

namespace railhead::provision {

class Applier {
 public:
  Applier(const Seams& seams, const Limits& limits, netlink::LinkClient& links, ApplyReport& report,
          const Provisioner::Progress& progress)
      : seams_(seams), limits_(limits), links_(links), report_(report), progress_(progress) {}

  // Everything up to the drivers' rebind, and what follows on their netdevs. Apart, so that the
  // drivers of all PFs work at the same time. The first also looks again at who holds the VFs: the
  // PFs before this one took seconds.
  Result<void> runUntilRebind(const PfPlan& plan);
  Result<void> runAfterRebind(const PfPlan& plan);

  // A step whose switch the driver turned out not to have. It stays in every plan.
  bool isWaived(const Step& step) const;

 private:
  Result<void> stillFree(const PfPlan& plan);
  Result<void> run(const Step& step);
  Result<void> carryOut(const Step& step);
  Result<void> changePf(const Step& step);
  Result<void> setCount(const Step& step);
  Result<void> changeVf(const Step& step);
  Result<void> rebind(const Step& step);
  Result<void> waitForNetdev(const Step& step);
  Result<void> setVfMtu(const Step& step);
  Result<PciAddress> vfAddress(const Step& step);
  // The VF's netdev as a link. A system that renames it meanwhile costs a few more looks.
  Result<netlink::Link> vfLink(const PciAddress& vf, std::chrono::milliseconds deadline);
  Error noDriver(const PciAddress& vf);
  std::string pfFile(const Step& step, std::string_view name) const;

  const Seams& seams_;
  const Limits& limits_;
  netlink::LinkClient& links_;
  ApplyReport& report_;
  const Provisioner::Progress& progress_;
  std::set<std::tuple<StepKind, PciAddress, int>> waived_;
};

}  // namespace railhead::provision
