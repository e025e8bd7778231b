// Brings the VFs of a node to a goal: observe → plan → apply → read back. The only writer of sysfs.
//
// Doing it again where the goal already holds writes nothing. A process killed between any two
// steps, or a step that fails, leaves a node from which the next apply() reaches the goal. VFs that
// pods hold are never touched: no MAC, no MTU, no rebind, and no change of the count.
//
// Not thread-safe: one Provisioner per node, used by one thread at a time.
#pragma once

#include "src/base/result.h"
#include "src/discover/node.h"
#include "src/netlink/client.h"
#include "src/os/clock.h"
#include "src/os/filesystem.h"
#include "src/os/host_paths.h"
#include "src/provision/goal.h"
#include "src/provision/plan.h"

#include <chrono>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace railhead::provision {

// Who holds VFs of this node now (kubelet's pod-resources, our own attachments, ...). When it
// fails, nothing that could disturb a pod is done.
class VfHolders {
 public:
  virtual ~VfHolders() = default;
  virtual Result<std::vector<Holder>> holders() = 0;
};

struct Seams {
  os::Filesystem& files;
  os::HostPaths paths;
  netlink::NetlinkOpener& netlink;
  os::Clock& clock;
  VfHolders& holders;
  // Once it says true, no step begins and no wait goes on: apply() ends after the write under way,
  // within pollInterval or settleInterval. Asked from the thread that applies; never by default.
  std::function<bool()> stop = {};
};
// kUnavailable once the stop was called for.
Result<void> mayGoOn(const Seams& seams);

struct Limits {
  // For the netdevs of VFs that got their driver from us.
  std::chrono::milliseconds netdevDeadline{20'000};
  // For netdevs that are missing before we did anything: a driver still at work after a crash. When
  // it ends they count as held by an unknown namespace.
  std::chrono::milliseconds settleDeadline{3'000};
  std::chrono::milliseconds settleInterval{100};
  std::chrono::milliseconds pollInterval{20};
};

struct PfFailure {
  PciAddress pf;
  std::string name;
  Error error;  // names the step
};

struct ApplyReport {
  std::vector<std::string> changes;    // steps that wrote, as Step::describe()
  std::vector<std::string> untouched;  // held VFs that differ from the goal
  std::vector<std::string> warnings;   // switches the driver does not have
  std::vector<PfFailure> failures;     // a PF that fails does not keep the others from their goal
  double seconds = 0;
  discover::Node node;  // as read back at the end

  bool ok() const { return failures.empty(); }
  // The first failure, with the number of the others; success without failures.
  Result<void> outcome() const;
};

class Provisioner {
 public:
  explicit Provisioner(Seams seams, Limits limits = {})
      : seams_(std::move(seams)), limits_(limits) {}

  // Called before each step that writes or waits.
  using Progress = std::function<void(const Step&)>;

  // These read only.
  Result<Observation> observe();
  Result<Plan> plan(const Goal& goal);

  // An Error means that the goal is wrong or matches nothing, or that the node cannot be read; with
  // "read back" in front of its message steps were done before that, else nothing was written. What
  // went wrong on single PFs is in the report. Told to stop, it reports each PF that is not at its
  // goal as failed, with kUnavailable, or is that Error when nothing was done yet; what was begun
  // is left as a killed process leaves it, but for sriov_drivers_autoprobe, which is put back.
  Result<ApplyReport> apply(const Goal& goal, const Progress& progress = {});

 private:
  // observe(), once drivers at work have made their netdevs or settleDeadline is over.
  Result<Observation> settled(const Goal& goal);

  Seams seams_;
  Limits limits_;
};

}  // namespace railhead::provision
