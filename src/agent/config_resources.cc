#include "src/agent/config_resources.h"

#include "src/advertise/cdi.h"
#include "src/base/text.h"
#include "src/kube/resource_name.h"

#include <algorithm>
#include <array>

namespace railhead::agent {
namespace {

using advertise::ResourceKind;
using advertise::Selector;
using advertise::VfRange;
using config::Field;

// How a format names its fields, and the shortest list of values: no value is no condition.
struct Format {
  Field (*child)(const Field& field, std::string_view name);
  std::size_t leastValues;
};

constexpr Format kOurs{[](const Field& field, std::string_view name) { return field.child(name); },
                       1};

bool sameButCase(std::string_view a, std::string_view b) { return toLower(a) == toLower(b); }

// Go takes a key whatever its case: sriov-network-operator writes some with a capital.
Field childInGo(const Field& field, std::string_view name) {
  for (const auto& key : field.keys()) {
    if (sameButCase(key, name)) return field.child(key);
  }
  return field.child(name);
}

constexpr Format kPlugins{childInGo, 0};

Result<void> checkKeysInGo(const Field& field, const std::vector<std::string>& allowed) {
  if (!field.isMap()) return field.complainAllowed("a map of " + join(allowed, ", "));
  std::vector<std::string> seen;
  for (const auto& key : field.keys()) {
    const auto same = [&key](const std::string& other) { return sameButCase(key, other); };
    if (std::none_of(allowed.begin(), allowed.end(), same))
      return field.child(key).complain("is unknown; allowed: " + join(allowed, ", "));
    if (std::any_of(seen.begin(), seen.end(), same))
      return field.child(key).complain("is given twice");
    seen.push_back(key);
  }
  return {};
}

// Reads each value of `field`, one or a list of them, when it is there, with `read`.
template <typename T, typename Read>
Result<void> readEach(const Field& field, std::size_t least, std::vector<T>& into,
                      const Read& read) {
  if (!field.present()) return {};
  std::vector<Field> entries{field};
  if (field.isList()) {
    RAILHEAD_TRY_ASSIGN(entries, field.list(least, kMaxSelectorValues));
  }
  for (const auto& entry : entries) {
    RAILHEAD_TRY_ASSIGN(T value, read(entry));
    into.push_back(std::move(value));
  }
  return {};
}

Result<void> readTexts(const Field& field, std::size_t least, const char* allowed,
                       std::vector<std::string>& into) {
  return readEach(field, least, into, [&](const Field& entry) { return entry.text(allowed, 64); });
}

Result<VfRange> readRange(const Field& field, const char* allowed) {
  RAILHEAD_TRY_ASSIGN(const std::string text, field.text(allowed, 128));
  auto range = VfRange::parse(text);
  if (!range.has_value()) return field.complainAllowed(allowed);
  return range;
}

Result<VfRange> readRootDevice(const Field& field) {
  constexpr const char* kAllowed = "a PF's PCI address, alone or with VFs: 0000:01:00.0#0-3";
  RAILHEAD_TRY_ASSIGN(VfRange range, readRange(field, kAllowed));
  const auto address = PciAddress::parse(range.pf);
  if (!address.has_value()) return field.complainAllowed(kAllowed);
  range.pf = address->toString();
  return range;
}

Result<PciAddress> readPciAddress(const Field& field) {
  constexpr const char* kAllowed = "a PCI address, like 0000:01:00.2";
  RAILHEAD_TRY_ASSIGN(const std::string text, field.text(kAllowed, 32));
  auto address = PciAddress::parse(text);
  if (!address.has_value()) return field.complainAllowed(kAllowed);
  return address;
}

Result<discover::LinkType> readLinkType(const Field& field) {
  constexpr const char* kAllowed = "ether, infiniband";
  RAILHEAD_TRY_ASSIGN(const std::string text, field.text(kAllowed, 64));
  const std::string name = toLower(text);
  if (name == "ether") return discover::LinkType::kEthernet;
  if (name == "infiniband") return discover::LinkType::kInfiniband;
  return field.complainAllowed(kAllowed);
}

// The names that both formats share.
Result<Selector> readShared(const Field& field, const Format& format) {
  const auto child = [&](std::string_view name) { return format.child(field, name); };
  const std::size_t least = format.leastValues;
  Selector selector;
  RAILHEAD_TRY(readEach(child("vendors"), least, selector.vendors, readPciId));
  RAILHEAD_TRY(readEach(child("devices"), least, selector.devices, readPciId));
  RAILHEAD_TRY(readTexts(child("drivers"), least, "a kernel driver's name, like mlx5_core",
                         selector.drivers));
  RAILHEAD_TRY(readEach(child("pfNames"), least, selector.pfNames, [](const Field& entry) {
    return readRange(entry, "a PF's interface name, alone or with VFs: enp1s0f0np0#0-3,6");
  }));
  RAILHEAD_TRY(readEach(child("rootDevices"), least, selector.rootDevices, readRootDevice));
  RAILHEAD_TRY(readEach(child("pciAddresses"), least, selector.pciAddresses, readPciAddress));
  RAILHEAD_TRY(readEach(child("linkTypes"), least, selector.linkTypes, readLinkType));
  if (const Field rdma = child("isRdma"); rdma.present()) {
    // false asks for nothing, as in the plugin it comes from.
    RAILHEAD_TRY_ASSIGN(selector.isRdma, rdma.flag());
  }
  return selector;
}

Result<Selector> readSelector(const Field& field) {
  RAILHEAD_TRY(field.checkKeys({"vendors", "devices", "drivers", "pfNames", "rootDevices",
                                "pciAddresses", "linkTypes", "isRdma", "ports", "twin"}));
  RAILHEAD_TRY_ASSIGN(Selector selector, readShared(field, kOurs));
  RAILHEAD_TRY(readTexts(field.child("ports"), kOurs.leastValues, "a phys_port_name, like p0",
                         selector.ports));
  if (const Field twin = field.child("twin"); twin.present()) {
    RAILHEAD_TRY_ASSIGN(const auto number, twin.number(0, 7));
    selector.twin = static_cast<int>(number);
  }
  return selector;
}

Result<std::vector<Selector>> readSelectors(const Field& field,
                                            Result<Selector> (*read)(const Field&)) {
  std::vector<Selector> selectors;
  RAILHEAD_TRY(readEach(field, 1, selectors, read));
  return selectors;
}

Result<ResourceKind> readKind(const Field& field) {
  if (!field.present()) return ResourceKind::kRailSet;
  constexpr const char* kAllowed = "rail-set (one VF of each twin), rail (one VF)";
  RAILHEAD_TRY_ASSIGN(const std::string kind, field.text(kAllowed));
  if (kind == "rail-set") return ResourceKind::kRailSet;
  if (kind == "rail") return ResourceKind::kRail;
  return field.complainAllowed(kAllowed);
}

Result<void> checkNew(const Field& field, const std::string& name,
                      const std::vector<advertise::RailResourceConfig>& resources) {
  for (const auto& other : resources) {
    if (other.name == name) {
      return field.complain("is " + inQuotes(name) + ", which is given twice");
    }
  }
  return {};
}

Result<advertise::RailResourceConfig> readResource(const Field& field) {
  RAILHEAD_TRY(field.checkKeys({"name", "kind", "rails", "select", "topology", "cdi", "profile"}));
  advertise::RailResourceConfig resource;
  RAILHEAD_TRY_ASSIGN(const Field name, field.required("name", "domain/name"));
  RAILHEAD_TRY_ASSIGN(resource.name, readResourceName(name));
  RAILHEAD_TRY_ASSIGN(resource.kind, readKind(field.child("kind")));
  if (const Field rails = field.child("rails"); rails.present()) {
    RAILHEAD_TRY_ASSIGN(resource.rails, rails.number(1, 8));
    if (resource.kind == ResourceKind::kRail && resource.rails != 1)
      return rails.complain("is given, but a device of kind rail has one; allowed: rail-set");
  }
  RAILHEAD_TRY_ASSIGN(resource.selectors, readSelectors(field.child("select"), readSelector));
  if (const Field topology = field.child("topology"); topology.present()) {
    RAILHEAD_TRY_ASSIGN(resource.topology, topology.flag());
  }
  if (const Field profile = field.child("profile"); profile.present()) {
    RAILHEAD_TRY_ASSIGN(resource.profile, profile.flag());
  }
  if (const Field cdi = field.child("cdi"); cdi.present()) {
    RAILHEAD_TRY_ASSIGN(resource.cdi, cdi.flag());
    if (resource.cdi && !advertise::isCdiKind(resource.name)) {
      return cdi.complain("is true, but " + inQuotes(resource.name) +
                          " is no CDI kind; allowed with it: a domain and a name that both begin "
                          "with a letter");
    }
  }
  return resource;
}

// What sriov-network-device-plugin can select by and we cannot serve.
constexpr std::array<const char*, 6> kForeignSelectors{"ddpProfiles", "auxTypes",     "pKeys",
                                                       "acpiIndexes", "needVhostNet", "vdpaType"};

// Written, and yet asking for nothing: [], {}, "", false.
bool asksForNothing(const Field& field) {
  if (!field.present()) return true;
  if (field.isList()) return field.list(0, 0).has_value();
  if (field.isMap()) return field.keys().empty();
  const auto wanted = field.flag();
  return wanted.has_value() ? !*wanted : !field.text("", config::kMaxBytes).has_value();
}

Result<Selector> readPluginSelector(const Field& field) {
  std::vector<std::string> known{"vendors",     "devices",      "drivers",   "pfNames",
                                 "rootDevices", "pciAddresses", "linkTypes", "isRdma"};
  for (const char* name : kForeignSelectors) {
    known.emplace_back(name);
    const Field foreign = childInGo(field, name);
    if (asksForNothing(foreign)) continue;
    return foreign.complain("is something that railhead-agent cannot select by or provide")
        .withRemedy("leave this resource to sriov-network-device-plugin, or take the line out");
  }
  RAILHEAD_TRY(checkKeysInGo(field, known));
  return readShared(field, kPlugins);
}

Result<std::string> readListName(const Field& field) {
  const Field name = childInGo(field, "resourceName");
  if (!name.present()) return name.complain("is missing; allowed: a resource's name");
  RAILHEAD_TRY_ASSIGN(std::string text, name.text("a resource's name", 63));
  std::string prefix = "intel.com";  // that plugin's default
  if (const Field given = childInGo(field, "resourcePrefix"); given.present()) {
    constexpr const char* kDomain = "a domain outside kubernetes.io, like nvidia.com";
    RAILHEAD_TRY_ASSIGN(prefix, given.text(kDomain, 253));
    if (!kube::checkResourceName(prefix + "/x").has_value()) return given.complainAllowed(kDomain);
  }
  if (text.find('/') != std::string::npos) {
    return name.complainAllowed("a name without '/'; the domain is resourcePrefix");
  }
  std::string whole = prefix + "/" + text;
  if (!kube::checkResourceName(whole).has_value()) {
    return name.complainAllowed(
        "letters, digits, '-', '_' and '.', a letter or digit at both ends, like cx7_qsfp");
  }
  return whole;
}

Result<advertise::RailResourceConfig> readListEntry(const Field& field) {
  // SelectorObj: sriov-network-operator's own copy of the selectors, which the plugin reads over.
  RAILHEAD_TRY(
      checkKeysInGo(field, {"resourceName", "resourcePrefix", "deviceType", "excludeTopology",
                            "selectors", "additionalInfo", "SelectorObj", "SelectorObjs"}));
  advertise::RailResourceConfig resource;
  resource.kind = ResourceKind::kRail;
  RAILHEAD_TRY_ASSIGN(resource.name, readListName(field));
  if (const Field type = childInGo(field, "deviceType"); type.present()) {
    RAILHEAD_TRY_ASSIGN(const std::string text, type.text("netDevice"));
    if (text != "netDevice") return type.complainAllowed("netDevice");
  }
  if (const Field info = childInGo(field, "additionalInfo"); !asksForNothing(info)) {
    return info.complain("is something that railhead-agent does not pass on")
        .withRemedy("take the line out");
  }
  if (const Field exclude = childInGo(field, "excludeTopology"); exclude.present()) {
    RAILHEAD_TRY_ASSIGN(const bool excluded, exclude.flag());
    resource.topology = !excluded;
  }
  RAILHEAD_TRY_ASSIGN(resource.selectors,
                      readSelectors(childInGo(field, "selectors"), readPluginSelector));
  return resource;
}

}  // namespace

Result<std::string> readResourceName(const Field& field) {
  const std::string allowed = "domain/name, like nvidia.com/cx7_qsfp";
  RAILHEAD_TRY_ASSIGN(std::string name, field.text(allowed));
  if (!kube::checkResourceName(name).has_value()) return field.complainAllowed(allowed);
  return name;
}

Result<std::uint16_t> readPciId(const Field& field) {
  const std::string allowed = "a PCI id of four hexadecimal digits, like 15b3";
  RAILHEAD_TRY_ASSIGN(const std::string text, field.text(allowed, 6));
  const auto value = parseHex(text);
  if (!value || *value > 0xffff) return field.complainAllowed(allowed);
  return static_cast<std::uint16_t>(*value);
}

Result<std::vector<advertise::RailResourceConfig>> readResources(const Field& field) {
  std::vector<advertise::RailResourceConfig> resources;
  if (!field.present()) return resources;
  RAILHEAD_TRY_ASSIGN(const auto entries, field.list(0, kMaxResources));
  for (const auto& entry : entries) {
    RAILHEAD_TRY_ASSIGN(auto resource, readResource(entry));
    RAILHEAD_TRY(checkNew(entry.child("name"), resource.name, resources));
    resources.push_back(std::move(resource));
  }
  return resources;
}

Result<std::vector<advertise::RailResourceConfig>> readResourceList(const Field& field) {
  std::vector<advertise::RailResourceConfig> resources;
  RAILHEAD_TRY_ASSIGN(const auto entries, field.list(1, kMaxResources));
  for (const auto& entry : entries) {
    RAILHEAD_TRY_ASSIGN(auto resource, readListEntry(entry));
    RAILHEAD_TRY(checkNew(childInGo(entry, "resourceName"), resource.name, resources));
    resources.push_back(std::move(resource));
  }
  return resources;
}

}  // namespace railhead::agent
