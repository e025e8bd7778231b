// Which PFs sit behind one cage, and what can be handed out as one device. Pure functions.
#pragma once

#include "src/base/result.h"
#include "src/discover/memory.h"
#include "src/discover/node.h"

#include <string>
#include <vector>

namespace railhead::discover {

// Pairs given by hand, for drivers that report neither phys_switch_id nor phys_port_name. They win
// over what the drivers report.
struct TwinRules {
  struct Group {
    std::string field;             // where it stands in the configuration: "twins[0]"
    std::vector<std::string> pfs;  // netdev names or PCI addresses, two or more; first is net1
    bool operator==(const Group&) const = default;
  };
  std::vector<Group> groups;
  bool operator==(const TwinRules&) const = default;
};

// The PFs behind one cage. One PF without twins.
struct Cage {
  std::vector<PciAddress> pfs;  // explicit groups: as given; else by PCI address
  std::string withheld;         // not empty: none of its VFs is offered, for this reason
};

struct Cages {
  std::vector<Cage> cages;         // by address of the first PF; every PF of the node is in one
  std::vector<std::string> notes;  // what a person should know: PFs that were not paired, and why
  // Rules that do not hold on this node; what they name is withheld. kNotFound and kInvalidArgument
  // name the rule, the PF and what the node has.
  std::vector<Error> refused;
};

// What a PF is that shows no netdev and was not seen with one before.
enum class SilentPfs {
  kMayBeTwins,  // its driver may still be starting: PFs of its kind without a twin are withheld
  kStandAlone,
};

// Twins have the same phys_switch_id and phys_port_name and different PCI domains; addresses decide
// nothing. Two functions of one device share its PCIe link and are never paired, nor by hand.
// `node`: completed by NodeMemory, so that a PF that is silent or gone keeps its place. A cage of
// which a member is not known is withheld, and never made of the others.
Cages pairTwins(const Node& node, const TwinRules& rules,
                SilentPfs silent = SilentPfs::kStandAlone);

struct WithheldSet {
  int index = 0;
  std::string reason;  // "VF 3 is missing on enP2p1s0f0np0 (0002:01:00.0), which has 2"
};

struct RailSets {
  std::vector<RailSet> offered;
  std::vector<WithheldSet> withheld;
  // Each VF by itself, as a set of one with its address as id and the index of its rail set,
  // whether or not its twins have theirs; none of a cage that is withheld.
  std::vector<RailSet> singles;
};

// VF i of every PF of a cage makes one set. A set that lacks a VF keeps its index and is not
// offered, so that the addresses of the others stay. Indexes count on from cage to cage: in steps
// of `setsPerCage`, so that a cage whose VFs are missing now does not move the others; 0: as found.
// `indexes` keeps those that were given before. `cages`: of this node.
RailSets railSets(const Node& node, const Cages& cages, int setsPerCage = 0,
                  RailIndexes* indexes = nullptr);

const Pf* findPf(const Node& node, const PciAddress& pci);  // nullptr: not there
const Vf* findVf(const Pf& pf, int index);                  // nullptr: not there

}  // namespace railhead::discover
