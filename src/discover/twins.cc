#include "src/discover/twins.h"

#include "src/base/text.h"

#include <algorithm>
#include <map>
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

const Pf* findNamed(const Node& node, const std::string& name) {
  for (const Pf& pf : node.pfs) {
    if (!name.empty() && pf.netdev == name) return &pf;
  }
  auto address = PciAddress::parse(name);
  return address.has_value() ? findPf(node, *address) : nullptr;
}

Result<Cage> explicitCage(const Node& node, const TwinRules::Group& group,
                          std::map<PciAddress, std::string>& usedBy) {
  if (group.pfs.size() < 2) {
    return Error(
        ErrorCode::kInvalidArgument,
        group.field + " names " + std::to_string(group.pfs.size()) + " PF: twins are two or more");
  }
  Cage cage;
  for (const std::string& name : group.pfs) {
    const Pf* pf = findNamed(node, name);
    if (pf == nullptr) {
      return Error(
          ErrorCode::kNotFound,
          group.field + " names " + quoted(name) + ": no such PF; this node has " + list(node.pfs),
          "name PFs by netdev or PCI address");
    }
    for (const PciAddress& other : cage.pfs) {
      if (other == pf->pci || !sameDevice(other, pf->pci)) continue;
      return Error(ErrorCode::kInvalidArgument,
                   group.field + " pairs " + other.toString() + " and " + label(*pf) +
                       ": two functions of one device share its PCIe link and are no twins",
                   "pair PFs of two devices that sit behind one cage");
    }
    const auto [used, added] = usedBy.emplace(pf->pci, group.field);
    if (!added) {
      return Error(ErrorCode::kInvalidArgument,
                   group.field + " names " + quoted(name) + ": " + label(*pf) + " is in " +
                       used->second + " already",
                   "a PF belongs to one cage");
    }
    cage.pfs.push_back(pf->pci);
  }
  return cage;
}

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
    cages.cages.push_back(Cage{{pf->pci}});
  }
  cages.notes.push_back(join(labels, ", ") + " report the same port " +
                        quoted(members.front()->physPortName) +
                        " and share a PCI domain: not paired");
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

Result<Cages> pairTwins(const Node& node, const TwinRules& rules) {
  Cages cages;
  std::map<PciAddress, std::string> usedBy;
  for (const auto& group : rules.groups) {
    RAILHEAD_TRY_ASSIGN(Cage cage, explicitCage(node, group, usedBy));
    cages.cages.push_back(std::move(cage));
  }
  std::map<std::pair<std::string, std::string>, std::vector<const Pf*>> reported;
  for (const Pf& pf : node.pfs) {
    if (usedBy.contains(pf.pci)) continue;
    if (pf.physSwitchId.empty() || pf.physPortName.empty()) {
      cages.cages.push_back(Cage{{pf.pci}});
    } else {
      reported[{pf.physSwitchId, pf.physPortName}].push_back(&pf);
    }
  }
  for (const auto& [port, members] : reported) addReported(members, cages);
  std::sort(cages.cages.begin(), cages.cages.end(),
            [](const Cage& a, const Cage& b) { return a.pfs.front() < b.pfs.front(); });
  return cages;
}

RailSets railSets(const Node& node, const Cages& cages, int setsPerCage) {
  RailSets sets;
  int index = 0;
  int cageNumber = 0;
  for (const Cage& cage : cages.cages) {
    std::vector<const Pf*> pfs;
    int count = 0;
    std::string gone;
    if (setsPerCage > 0) index = cageNumber++ * setsPerCage;
    for (const PciAddress& address : cage.pfs) {
      const Pf* pf = findPf(node, address);
      if (pf == nullptr) {
        gone = address.toString();
        continue;
      }
      pfs.push_back(pf);
      for (const Vf& vf : pf->vfs) count = std::max(count, vf.index + 1);
    }
    for (int vf = 0; vf < count; ++vf, ++index) {
      if (gone.empty()) {
        addSet(pfs, vf, index, sets);
      } else {
        sets.withheld.push_back({index, "PF " + gone + " of this cage is gone"});
      }
    }
  }
  return sets;
}

}  // namespace railhead::discover
