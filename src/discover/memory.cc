#include "src/discover/memory.h"

#include "src/base/text.h"
#include "src/discover/twins.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <set>

#include <nlohmann/json.hpp>

namespace railhead::discover {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kFormat = 1;
constexpr std::size_t kMaxName = 128;
constexpr std::size_t kMaxVfs = 1024;       // per PF
constexpr std::size_t kMaxIndexes = 65536;  // rail sets of a node

bool sameDevice(const PciFunction& a, const PciFunction& b) {
  return a.vendor == b.vendor && a.device == b.device;
}

const Vf* findByAddress(const std::vector<Vf>& vfs, const PciAddress& pci) {
  const auto found =
      std::find_if(vfs.begin(), vfs.end(), [&](const Vf& vf) { return vf.pci == pci; });
  return found == vfs.end() ? nullptr : &*found;
}

// What of a VF identity follows. One in a pod shows less than it has.
Vf learnVf(const Vf& seen, const Vf* known) {
  Vf vf;
  vf.index = seen.index;
  vf.pci = seen.pci;
  vf.vendor = seen.vendor;
  vf.device = seen.device;
  vf.numaNode = seen.numaNode;
  const bool shows = !seen.driver.empty() && !seen.netdev.empty();
  const Vf& last = shows || known == nullptr ? seen : *known;
  vf.driver = seen.driver.empty() ? last.driver : seen.driver;
  vf.netdev = last.netdev;
  for (const RdmaDevice& device : last.rdma) vf.rdma.push_back({device.name, "", {}, ""});
  return vf;
}

void learnName(Pf& known, const std::string& name) {
  if (known.netdev == name) return;
  std::erase(known.earlierNames, name);
  if (!known.netdev.empty()) known.earlierNames.push_back(known.netdev);
  if (known.earlierNames.size() > NodeMemory::kMaxEarlierNames)
    known.earlierNames.erase(known.earlierNames.begin());
  known.netdev = name;
}

void learnPf(const Pf& seen, Pf& known) {
  known.pci = seen.pci;
  known.vendor = seen.vendor;
  known.device = seen.device;
  known.driver = seen.driver;
  known.numaNode = seen.numaNode;
  learnName(known, seen.netdev);
  if (seen.linkType != LinkType::kUnknown) known.linkType = seen.linkType;
  // A driver that told once and is silent now is at work; its port is the same.
  if (!seen.physPortName.empty()) known.physPortName = seen.physPortName;
  if (!seen.physSwitchId.empty()) known.physSwitchId = seen.physSwitchId;
  std::vector<Vf> vfs;
  vfs.reserve(seen.vfs.size());
  for (const Vf& vf : seen.vfs) vfs.push_back(learnVf(vf, findByAddress(known.vfs, vf.pci)));
  known.vfs = std::move(vfs);
}

void completePf(Pf& pf, const Pf& known) {
  const bool silent = pf.netdev.empty();
  pf.earlierNames = known.earlierNames;
  if (silent) pf.netdev = known.netdev;
  if (pf.driver.empty()) pf.driver = known.driver;
  if (pf.linkType == LinkType::kUnknown) pf.linkType = known.linkType;
  if (pf.physPortName.empty()) pf.physPortName = known.physPortName;
  if (pf.physSwitchId.empty()) pf.physSwitchId = known.physSwitchId;
  for (Vf& vf : pf.vfs) {
    const Vf* last = findByAddress(known.vfs, vf.pci);
    if (last == nullptr || !vf.driver.empty()) continue;
    vf.driver = last->driver;
    vf.netdev = last->netdev;
    vf.rdma = last->rdma;
  }
  if (!silent) return;  // what it does not have now, it was asked to give up
  for (const Vf& last : known.vfs) {
    if (findVf(pf, last.index) == nullptr) pf.vfs.push_back(last);
  }
  std::sort(pf.vfs.begin(), pf.vfs.end(),
            [](const Vf& a, const Vf& b) { return a.index < b.index; });
}

Json savedFunction(const PciFunction& function) {
  return {{"pci", function.pci.toString()}, {"vendor", function.vendor},
          {"device", function.device},      {"driver", function.driver},
          {"numaNode", function.numaNode},  {"netdev", function.netdev}};
}

Json savedPf(const Pf& pf) {
  Json json = savedFunction(pf);
  json["earlierNames"] = pf.earlierNames;
  json["linkType"] = linkTypeName(pf.linkType);
  json["physPortName"] = pf.physPortName;
  json["physSwitchId"] = pf.physSwitchId;
  json["vfs"] = Json::array();
  for (const Vf& vf : pf.vfs) {
    Json one = savedFunction(vf);
    one["index"] = vf.index;
    one["rdma"] = Json::array();
    for (const RdmaDevice& device : vf.rdma) one["rdma"].push_back(device.name);
    json["vfs"].push_back(std::move(one));
  }
  return json;
}

// Reads one document; the first thing that is not as encode() writes it makes it worthless.
class Decoder {
 public:
  bool ok() const { return ok_; }

  const Json& member(const Json& object, const char* key) {
    static const Json kNothing;
    if (object.is_object()) {
      if (const auto found = object.find(key); found != object.end()) return *found;
    }
    ok_ = false;
    return kNothing;
  }
  const Json& list(const Json& object, const char* key, std::size_t most) {
    static const Json kEmpty = Json::array();
    const Json& value = member(object, key);
    if (value.is_array() && value.size() <= most) return value;
    ok_ = false;
    return kEmpty;
  }
  std::string text(const Json& value) {
    const auto* text = value.get_ptr<const std::string*>();
    if (text != nullptr && text->size() <= kMaxName) return *text;
    ok_ = false;
    return {};
  }
  int number(const Json& value, int low, int high) {
    if (value.is_number_integer()) {
      const auto number = value.get<std::int64_t>();
      if (number >= low && number <= high) return static_cast<int>(number);
    }
    ok_ = false;
    return low;
  }
  bool flag(const Json& value) {
    if (value.is_boolean()) return value.get<bool>();
    ok_ = false;
    return false;
  }
  PciAddress address(const Json& value) {
    const auto parsed = PciAddress::parse(text(value));
    if (parsed.has_value()) return *parsed;
    ok_ = false;
    return {};
  }

  void function(const Json& json, PciFunction& into) {
    into.pci = address(member(json, "pci"));
    into.vendor = static_cast<std::uint16_t>(number(member(json, "vendor"), 0, 0xffff));
    into.device = static_cast<std::uint16_t>(number(member(json, "device"), 0, 0xffff));
    into.driver = text(member(json, "driver"));
    into.numaNode = number(member(json, "numaNode"), -1, 4095);
    into.netdev = text(member(json, "netdev"));
  }
  Pf pf(const Json& json) {
    Pf pf;
    function(json, pf);
    for (const Json& name : list(json, "earlierNames", NodeMemory::kMaxEarlierNames))
      pf.earlierNames.push_back(text(name));
    const std::string type = text(member(json, "linkType"));
    for (const LinkType each : {LinkType::kEthernet, LinkType::kInfiniband}) {
      if (type == linkTypeName(each)) pf.linkType = each;
    }
    pf.physPortName = text(member(json, "physPortName"));
    pf.physSwitchId = text(member(json, "physSwitchId"));
    for (const Json& one : list(json, "vfs", kMaxVfs)) {
      Vf vf;
      function(one, vf);
      vf.index = number(member(one, "index"), 0, static_cast<int>(kMaxVfs) - 1);
      for (const Json& name : list(one, "rdma", 16)) vf.rdma.push_back({text(name), "", {}, ""});
      pf.vfs.push_back(std::move(vf));
    }
    return pf;
  }

 private:
  bool ok_ = true;
};

}  // namespace

int RailIndexes::of(const Place& place, int wanted) {
  if (const auto known = indexes_.find(place); known != indexes_.end()) return known->second;
  int index = wanted;
  if (given_.contains(index)) {
    for (index = 0; given_.contains(index);) ++index;
  }
  given_.insert(index);
  return indexes_[place] = index;
}

void RailIndexes::keepOnly(const std::vector<Place>& places) {
  const std::set<Place> kept(places.begin(), places.end());
  std::erase_if(indexes_, [&](const auto& entry) {
    const bool goes = !kept.contains(entry.first);
    if (goes) given_.erase(entry.second);
    return goes;
  });
}

void NodeMemory::learn(const Node& node) {
  for (const Pf& pf : node.pfs) {
    const auto known = pfs_.find(pf.pci);
    if (known != pfs_.end() && !sameDevice(known->second, pf)) pfs_.erase(known);
    if (pf.netdev.empty()) continue;
    if (pfs_.size() >= kMaxPfs && !pfs_.contains(pf.pci)) continue;
    learnPf(pf, pfs_[pf.pci]);
  }
}

Node NodeMemory::complete(const Node& node) const {
  Node whole = node;
  std::set<PciAddress> there;
  for (Pf& pf : whole.pfs) {
    there.insert(pf.pci);
    const auto known = pfs_.find(pf.pci);
    if (known != pfs_.end() && sameDevice(known->second, pf)) completePf(pf, known->second);
  }
  for (const auto& [pci, pf] : pfs_) {
    if (!there.contains(pci)) whole.pfs.push_back(pf);
  }
  std::sort(whole.pfs.begin(), whole.pfs.end(),
            [](const Pf& a, const Pf& b) { return a.pci < b.pci; });
  return whole;
}

std::string NodeMemory::encode(std::string_view boot) const {
  Json json{{"format", kFormat}, {"boot", boot}, {"waitedForSilent", waitedForSilent}};
  json["pfs"] = Json::array();
  for (const auto& [pci, pf] : pfs_) json["pfs"].push_back(savedPf(pf));
  json["indexes"] = Json::array();
  for (const auto& [place, index] : indexes.all()) {
    json["indexes"].push_back(
        {{"pf", place.first.toString()}, {"vf", place.second}, {"index", index}});
  }
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<NodeMemory> NodeMemory::decode(std::string_view text, std::string_view boot) {
  const Json json = Json::parse(text, nullptr, false);
  Decoder decoder;
  if (decoder.number(decoder.member(json, "format"), 0, std::numeric_limits<int>::max()) !=
          kFormat ||
      !decoder.ok()) {
    return Error(ErrorCode::kCorrupt, "what was remembered of the node's PFs cannot be read");
  }
  if (decoder.text(decoder.member(json, "boot")) != boot)
    return Error(ErrorCode::kNotFound, "what was remembered of the node's PFs is of another boot");
  NodeMemory memory;
  memory.waitedForSilent = decoder.flag(decoder.member(json, "waitedForSilent"));
  for (const Json& one : decoder.list(json, "pfs", kMaxPfs)) {
    Pf pf = decoder.pf(one);
    memory.pfs_[pf.pci] = std::move(pf);
  }
  for (const Json& one : decoder.list(json, "indexes", kMaxIndexes)) {
    const PciAddress pf = decoder.address(decoder.member(one, "pf"));
    const int vf = decoder.number(decoder.member(one, "vf"), 0, static_cast<int>(kMaxVfs) - 1);
    const int index = decoder.number(decoder.member(one, "index"), 0, 1 << 20);
    static_cast<void>(memory.indexes.of({pf, vf}, index));
  }
  if (decoder.ok()) return memory;
  return Error(ErrorCode::kCorrupt, "what was remembered of the node's PFs cannot be read");
}

}  // namespace railhead::discover
