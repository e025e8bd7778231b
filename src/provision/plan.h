// Goal and node as it is → the steps between them. Pure functions; thread-safe.
#pragma once

#include "src/base/mac.h"
#include "src/base/pci_address.h"
#include "src/base/result.h"
#include "src/discover/node.h"
#include "src/netlink/types.h"
#include "src/provision/goal.h"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace railhead::provision {

// A VF that something on this node uses or is promised to.
struct Holder {
  std::string pod;  // "default/trainer-0"; any text a person can act on
  PciAddress vf;
};

// What a PF knows about its VFs beyond sysfs.
struct PfSettings {
  Mac permanentMac;                      // zero: unknown
  std::optional<bool> autoprobeBefore;   // an earlier apply() changed it from this and was killed
  std::vector<netlink::VfSettings> vfs;  // empty: the driver has no settings per VF
  std::optional<Error> unreadable;       // what of it is not known, or stuck: the PF is refused
};

struct Observation {
  discover::Node node;
  std::map<PciAddress, PfSettings> settings;
  std::vector<Holder> holders;
  std::optional<Error> holdersUnknown;  // why nobody can say who holds what
};

enum class StepKind {
  kPfUp,
  kPfMtu,
  kAutoprobe,
  kVfCount,
  kVfMac,
  kVfTrust,
  kVfSpoofCheck,
  kVfRebind,
  kVfNetdev,  // wait for it; changes nothing
  kVfMtu,
};

struct Step {
  StepKind kind = StepKind::kPfUp;
  PciAddress pf;
  std::string pfName;
  int vf = -1;           // index; -1: the PF itself
  int number = 0;        // VF count or MTU
  bool on = false;       // autoprobe, trust, spoof check
  bool required = true;  // trust, spoof check: a driver without the switch is an error
  std::string field;     // the goal's: "provision.pfs[0]"
  Mac mac;
  std::string was;  // the state before, or why: "MTU 1500", "node GUID is zero"

  bool changesNode() const { return kind != StepKind::kVfNetdev; }
  std::string describe() const;  // one line: "enp1s0f0np0 VF 2: MAC 02:.. (was 00:..)"
};

// Everything for one PF. With `refused` nothing at all is done to it and there are no steps.
struct PfPlan {
  PciAddress pf;
  std::string name;
  std::vector<Step> steps;
  std::vector<std::string> untouched;  // held VFs: who holds them, and what differs there
  std::optional<Error> refused;        // kBusy names the holders; kInvalidArgument; kUnsupported
};

struct Plan {
  std::vector<PfPlan> pfs;                 // by PCI address
  bool empty() const;                      // nothing to do and nothing refused
  std::vector<std::string> lines() const;  // for people: steps, untouched VFs, refusals
};

// Who holds VFs of one PF: those named, and those whose driver's netdev is not in this namespace.
class Holds {
 public:
  Holds(const discover::Pf& pf, const std::vector<Holder>& holders, bool unknown);

  const std::string* of(int vfIndex) const;                               // nullptr: free
  bool isGuess(int vfIndex) const { return guesses_.contains(vfIndex); }  // nobody named it
  bool any() const { return !byIndex_.empty(); }
  std::string describe() const;  // "VF 0 (0000:01:10.0) by default/trainer-0, ..."

 private:
  std::map<int, std::string> byIndex_;
  std::map<int, PciAddress> address_;
  std::set<int> guesses_;
};

// Errors are those of checkGoal and selectPfs; what stops one PF alone is in its PfPlan. A VF with
// a driver whose netdev is not in this namespace counts as held, by "an unknown namespace" unless
// `holders` knows better. Held VFs get no step. Steps of a PF are in the order to do them.
Result<Plan> makePlan(const Goal& goal, const Observation& observed);

}  // namespace railhead::provision
