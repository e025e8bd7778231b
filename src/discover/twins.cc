#include "src/discover/twins.h"

#include "src/base/text.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

namespace railhead::discover {
namespace {

std::string label(const Pf& pf) {
  const std::string address = pf.pci.toString();
  return pf.netdev.empty() ? address : pf.netdev + " (" + address + ")";
}

std::string list(const std::vector<Pf>& pfs) {
  std::vector<std::string> labels;
  labels.reserve(pfs.size());
  for (const Pf& pf : pfs) labels.push_back(label(pf));
  return labels.empty() ? "none" : join(labels, ", ");
}

bool sameDevice(const PciAddress& a, const PciAddress& b) {
  return a.domain == b.domain && a.bus == b.bus && a.device == b.device;
}

bool wasNamed(const Pf& pf, const std::string& name) {
  return std::find(pf.earlierNames.begin(), pf.earlierNames.end(), name) != pf.earlierNames.end();
}

// By the name it has, else by address, else by one that it had: it was renamed since.
const Pf* findNamed(const Node& node, const std::string& name) {
  if (name.empty()) return nullptr;
  for (const Pf& pf : node.pfs) {
    if (pf.netdev == name) return &pf;
  }
  if (const auto address = PciAddress::parse(name); address.has_value())
    return findPf(node, *address);
  const auto renamed = std::find_if(node.pfs.begin(), node.pfs.end(),
                                    [&](const Pf& pf) { return wasNamed(pf, name); });
  return renamed == node.pfs.end() ? nullptr : &*renamed;
}

// Turns the groups of a configuration into cages.
class ExplicitPairing {
 public:
  ExplicitPairing(const Node& node, Cages& cages) : node_(node), cages_(cages) {}

  void add(const TwinRules::Group& group) {
    Cage cage;
    std::optional<Error> wrong;
    if (group.pfs.size() < 2) {
      wrong = Error(ErrorCode::kInvalidArgument, group.field + " names " +
                                                     std::to_string(group.pfs.size()) +
                                                     " PF: twins are two or more");
    }
    for (const std::string& name : group.pfs) {
      auto member = memberOf(group, name, cage);
      if (member.has_value()) {
        cage.pfs.push_back(*member);
      } else if (!wrong) {
        wrong = std::move(member).error();
      }
    }
    if (wrong) {
      cage.withheld = wrong->message;
      cages_.refused.push_back(std::move(*wrong));
    }
    if (!cage.pfs.empty()) cages_.cages.push_back(std::move(cage));
  }

  bool has(const PciAddress& pci) const { return usedBy_.contains(pci); }

 private:
  Result<PciAddress> memberOf(const TwinRules::Group& group, const std::string& name,
                              const Cage& cage) {
    const Pf* pf = findNamed(node_, name);
    if (pf == nullptr) {
      return Error(ErrorCode::kNotFound,
                   group.field + " names " + inQuotes(name) + ": no such PF; this node has " +
                       list(node_.pfs),
                   "name PFs by netdev or PCI address");
    }
    const auto [used, added] = usedBy_.emplace(pf->pci, group.field);
    if (!added) {
      return Error(ErrorCode::kInvalidArgument,
                   group.field + " names " + inQuotes(name) + ": " + label(*pf) + " is in " +
                       used->second + " already",
                   "a PF belongs to one cage");
    }
    for (const PciAddress& other : cage.pfs) {
      if (!sameDevice(other, pf->pci)) continue;
      usedBy_.erase(used);
      return Error(ErrorCode::kInvalidArgument,
                   group.field + " pairs " + other.toString() + " and " + label(*pf) +
                       ": two functions of one device share its PCIe link and are no twins",
                   "pair PFs of two devices that sit behind one cage");
    }
    return pf->pci;
  }

  const Node& node_;
  Cages& cages_;
  std::map<PciAddress, std::string> usedBy_;
};

// The PFs of one port of one switch. Only distinct PCI domains make twins; when two share one,
// which of them belongs to the third cannot be told.
void addReported(const std::vector<const Pf*>& members, Cages& cages) {
  std::set<std::uint32_t> domains;
  for (const Pf* pf : members) domains.insert(pf->pci.domain);
  if (domains.size() == members.size()) {
    Cage cage;
    for (const Pf* pf : members) cage.pfs.push_back(pf->pci);
    cages.cages.push_back(std::move(cage));
    return;
  }
  std::vector<std::string> labels;
  for (const Pf* pf : members) {
    labels.push_back(label(*pf));
    cages.cages.push_back(Cage{{pf->pci}, ""});
  }
  cages.notes.push_back(join(labels, ", ") + " report the same port " +
                        inQuotes(members.front()->physPortName) +
                        " and share a PCI domain: not paired");
}

bool reports(const Pf& pf) { return !pf.physSwitchId.empty() && !pf.physPortName.empty(); }

// Whether `silent` can turn out to be the twin that this cage lacks.
bool mayBelong(const Node& node, const Cage& cage, const Pf& silent) {
  return std::all_of(cage.pfs.begin(), cage.pfs.end(), [&](const PciAddress& pci) {
    const Pf* pf = findPf(node, pci);
    return pf != nullptr && reports(*pf) && pf->vendor == silent.vendor &&
           pf->device == silent.device && pci.domain != silent.pci.domain;
  });
}

// Cages, of those that nobody made by hand, that may be made of more PFs than they have now.
void doubtForSilent(const Node& node, const ExplicitPairing& byHand, SilentPfs silent,
                    Cages& cages) {
  for (const Pf& pf : node.pfs) {
    if (!pf.netdev.empty() || reports(pf) || byHand.has(pf.pci)) continue;
    for (Cage& cage : cages.cages) {
      if (byHand.has(cage.pfs.front()) || !mayBelong(node, cage, pf)) continue;
      const std::string why = "PF " + label(pf) + " has no netdev yet, and may be the twin of " +
                              label(*findPf(node, cage.pfs.front()));
      if (silent == SilentPfs::kStandAlone) {
        cages.notes.push_back(why + ": not waited for any longer");
      } else if (cage.withheld.empty()) {
        cage.withheld = why;
      }
    }
  }
}

// Set `index` of a cage; the reason when one of its VFs is missing.
void addSet(const std::vector<const Pf*>& pfs, int vfIndex, int setIndex, RailSets& sets) {
  RailSet set;
  set.index = setIndex;
  std::vector<std::string> addresses;
  for (std::size_t cage = 0; cage < pfs.size(); ++cage) {
    const Vf* vf = findVf(*pfs[cage], vfIndex);
    if (vf == nullptr) {
      sets.withheld.push_back({setIndex, "VF " + std::to_string(vfIndex) + " is missing on " +
                                             label(*pfs[cage]) + ", which has " +
                                             std::to_string(pfs[cage]->vfs.size())});
      return;
    }
    set.rails.push_back({pfs[cage]->pci, vf->pci, vfIndex, static_cast<int>(cage)});
    addresses.push_back(vf->pci.toString());
  }
  set.id = join(addresses, "+");
  sets.offered.push_back(std::move(set));
}

void addSingles(const std::vector<const Pf*>& pfs, int vfIndex, int setIndex, RailSets& sets) {
  for (std::size_t cage = 0; cage < pfs.size(); ++cage) {
    const Vf* vf = findVf(*pfs[cage], vfIndex);
    if (vf == nullptr) continue;
    const Rail rail{pfs[cage]->pci, vf->pci, vfIndex, static_cast<int>(cage)};
    sets.singles.push_back({vf->pci.toString(), setIndex, {rail}});
  }
}

}  // namespace

const Vf* findVf(const Pf& pf, int index) {
  const auto found =
      std::find_if(pf.vfs.begin(), pf.vfs.end(), [&](const Vf& vf) { return vf.index == index; });
  return found == pf.vfs.end() ? nullptr : &*found;
}

const Pf* findPf(const Node& node, const PciAddress& pci) {
  const auto found =
      std::find_if(node.pfs.begin(), node.pfs.end(), [&](const Pf& pf) { return pf.pci == pci; });
  return found == node.pfs.end() ? nullptr : &*found;
}

Cages pairTwins(const Node& node, const TwinRules& rules, SilentPfs silent) {
  Cages cages;
  ExplicitPairing byHand(node, cages);
  for (const auto& group : rules.groups) byHand.add(group);
  std::map<std::pair<std::string, std::string>, std::vector<const Pf*>> reported;
  for (const Pf& pf : node.pfs) {
    if (byHand.has(pf.pci)) continue;
    if (reports(pf)) {
      reported[{pf.physSwitchId, pf.physPortName}].push_back(&pf);
    } else {
      cages.cages.push_back(Cage{{pf.pci}, ""});
    }
  }
  for (const auto& [port, members] : reported) addReported(members, cages);
  doubtForSilent(node, byHand, silent, cages);
  std::sort(cages.cages.begin(), cages.cages.end(),
            [](const Cage& a, const Cage& b) { return a.pfs.front() < b.pfs.front(); });
  return cages;
}

RailSets railSets(const Node& node, const Cages& cages, int setsPerCage, RailIndexes* indexes) {
  RailSets sets;
  RailIndexes fresh;
  RailIndexes& given = indexes != nullptr ? *indexes : fresh;
  std::vector<RailIndexes::Place> places;
  int wanted = 0;
  int cageNumber = 0;
  for (const Cage& cage : cages.cages) {
    if (setsPerCage > 0) wanted = cageNumber++ * setsPerCage;
    std::vector<const Pf*> pfs;
    int count = 0;
    for (const PciAddress& address : cage.pfs) {
      pfs.push_back(findPf(node, address));
      for (const Vf& vf : pfs.back()->vfs) count = std::max(count, vf.index + 1);
    }
    for (int vf = 0; vf < count; ++vf, ++wanted) {
      places.emplace_back(cage.pfs.front(), vf);
      const int index = given.of(places.back(), wanted);
      if (cage.withheld.empty()) {
        addSet(pfs, vf, index, sets);
        addSingles(pfs, vf, index, sets);
      } else {
        sets.withheld.push_back({index, cage.withheld});
      }
    }
  }
  given.keepOnly(places);
  return sets;
}

}  // namespace railhead::discover
