#include "src/agent/config.h"

#include "src/agent/config_resources.h"
#include "src/base/text.h"
#include "src/config/field.h"

namespace railhead::agent {
namespace {

using config::Field;

constexpr std::uint64_t kMaxPrefixes = 8;

Result<void> readFunctions(const Field& field, Functions& functions) {
  if (!field.present()) return {};
  RAILHEAD_TRY(field.checkKeys({"provision", "rails", "cni", "gpus"}));
  const auto read = [&](std::string_view key, bool& into) -> Result<void> {
    if (const Field flag = field.child(key); flag.present()) {
      RAILHEAD_TRY_ASSIGN(into, flag.flag());
    }
    return {};
  };
  RAILHEAD_TRY(read("provision", functions.provision));
  RAILHEAD_TRY(read("rails", functions.rails));
  RAILHEAD_TRY(read("gpus", functions.gpus));
  return read("cni", functions.cni);
}

Result<void> checkGpuName(const Field& root, const AgentConfig& config) {
  if (!config.functions.gpus) return {};
  const std::string& gpus = config.gpus.resource.name;
  for (std::size_t i = 0; i < config.resources.size(); ++i) {
    const std::string& name = config.resources[i].name;
    if (name != gpus) continue;
    return root.nearest("resources[" + std::to_string(i) + "].name")
        .complain("is " + inQuotes(name) + ", which is the GPUs'")
        .withRemedy("set functions.gpus to false when other software offers the GPUs");
  }
  return {};
}

Result<void> readId(const Field& field, std::optional<std::uint16_t>& id) {
  if (!field.present()) return {};
  RAILHEAD_TRY_ASSIGN(id, readPciId(field));
  return {};
}

Result<void> readText(const Field& field, std::string_view allowed,
                      std::optional<std::string>& into) {
  if (!field.present()) return {};
  RAILHEAD_TRY_ASSIGN(into, field.text(allowed, 64));
  return {};
}

Result<provision::PfSelector> readPfSelector(const Field& field) {
  provision::PfSelector selector;
  if (!field.present()) return selector;
  RAILHEAD_TRY(field.checkKeys({"vendor", "device", "driver", "name", "pci", "port"}));
  RAILHEAD_TRY(readId(field.child("vendor"), selector.vendor));
  RAILHEAD_TRY(readId(field.child("device"), selector.device));
  RAILHEAD_TRY(
      readText(field.child("driver"), "a kernel driver's name, like mlx5_core", selector.driver));
  RAILHEAD_TRY(
      readText(field.child("name"), "a PF's interface name, like enp1s0f0np0", selector.name));
  RAILHEAD_TRY(readText(field.child("port"), "a phys_port_name, like p0", selector.port));
  if (const Field pci = field.child("pci"); pci.present()) {
    RAILHEAD_TRY_ASSIGN(const std::string text, pci.text("a PCI address", 32));
    auto address = PciAddress::parse(text);
    if (!address.has_value()) return pci.complainAllowed("a PCI address, like 0000:01:00.0");
    selector.pci = *address;
  }
  return selector;
}

// "true", or {set: true, required: false}.
Result<void> readSwitch(const Field& field, std::optional<provision::VfSwitch>& into) {
  if (!field.present()) return {};
  provision::VfSwitch wanted;
  if (field.isMap()) {
    RAILHEAD_TRY(field.checkKeys({"set", "required"}));
    RAILHEAD_TRY_ASSIGN(const Field set, field.required("set", "true, false"));
    RAILHEAD_TRY_ASSIGN(wanted.on, set.flag());
    if (const Field required = field.child("required"); required.present()) {
      RAILHEAD_TRY_ASSIGN(wanted.required, required.flag());
    }
  } else {
    RAILHEAD_TRY_ASSIGN(wanted.on, field.flag());
  }
  into = wanted;
  return {};
}

Result<provision::PfGoal> readPf(const Field& field) {
  RAILHEAD_TRY(
      field.checkKeys({"select", "vfs", "mtu", "trust", "spoofCheck", "mac", "mayBeAbsent"}));
  provision::PfGoal goal;
  goal.field = field.path();
  RAILHEAD_TRY_ASSIGN(goal.select, readPfSelector(field.child("select")));
  RAILHEAD_TRY_ASSIGN(const Field vfs, field.required("vfs", "0 to 1024"));
  RAILHEAD_TRY_ASSIGN(const auto count, vfs.number(0, provision::kMaxVfs));
  goal.vfs = static_cast<int>(count);
  if (const Field mtu = field.child("mtu"); mtu.present()) {
    RAILHEAD_TRY_ASSIGN(const auto bytes, mtu.number(provision::kMinMtu, provision::kMaxMtu));
    goal.mtu = static_cast<int>(bytes);
  }
  RAILHEAD_TRY(readSwitch(field.child("trust"), goal.trust));
  RAILHEAD_TRY(readSwitch(field.child("spoofCheck"), goal.spoofCheck));
  if (const Field mac = field.child("mac"); mac.present()) {
    RAILHEAD_TRY_ASSIGN(const std::string policy, mac.text("stable, keep"));
    if (policy != "stable" && policy != "keep") return mac.complainAllowed("stable, keep");
    goal.mac = policy == "keep" ? provision::MacPolicy::kKeep : provision::MacPolicy::kStable;
  }
  if (const Field absent = field.child("mayBeAbsent"); absent.present()) {
    RAILHEAD_TRY_ASSIGN(goal.mayBeAbsent, absent.flag());
  }
  return goal;
}

Result<void> readProvision(const Field& field, provision::Goal& goal) {
  if (!field.present()) return {};
  RAILHEAD_TRY(field.checkKeys({"pfs"}));
  RAILHEAD_TRY_ASSIGN(const Field pfs, field.required("pfs", "a list of PFs"));
  RAILHEAD_TRY_ASSIGN(const auto entries, pfs.list(1, provision::kMaxGoals));
  for (const auto& entry : entries) {
    RAILHEAD_TRY_ASSIGN(provision::PfGoal one, readPf(entry));
    goal.pfs.push_back(std::move(one));
  }
  return {};
}

Result<void> readTwins(const Field& field, discover::TwinRules& rules) {
  if (!field.present()) return {};
  RAILHEAD_TRY_ASSIGN(const auto groups, field.list(0, provision::kMaxGoals));
  for (const auto& group : groups) {
    RAILHEAD_TRY_ASSIGN(auto pfs, group.texts("a PF's interface name or PCI address", 8));
    if (pfs.size() < 2) return group.complain("has 1 entry; allowed: 2 to 8 PFs behind one cage");
    rules.groups.push_back({group.path(), std::move(pfs)});
  }
  return {};
}

Result<std::vector<IpPrefix>> readRailSubnets(const Field& field) {
  const std::string allowed = "a subnet, like 10.100.0.0/24, or a list of them";
  std::vector<Field> entries{field};
  if (field.isList()) {
    RAILHEAD_TRY_ASSIGN(entries, field.list(1, kMaxPrefixes));
  }
  std::vector<IpPrefix> subnets;
  for (const Field& entry : entries) {
    RAILHEAD_TRY_ASSIGN(const std::string text, entry.text(allowed));
    auto prefix = IpPrefix::parse(text);
    if (!prefix.has_value()) return entry.complainAllowed(allowed);
    subnets.push_back(*prefix);
  }
  return subnets;
}

// The other modules' checks name the field first ("subnets[1] is ..."): here it gets its line.
Result<void> placed(const Field& below, Result<void> checked) {
  if (checked.has_value()) return checked;
  Error error = std::move(checked).error();
  const std::string path = error.message.substr(0, error.message.find_first_of(" :"));
  std::string problem = error.message.substr(path.size());
  if (problem.starts_with(":")) problem.erase(0, 1);
  return below.nearest(path).complain(trim(problem)).withRemedy(error.remedy);
}

Result<void> checkDeclared(const Field& resource, const std::string& name,
                           const std::vector<advertise::RailResourceConfig>& resources) {
  std::vector<std::string> declared;
  for (const auto& one : resources) {
    if (one.name == name) return {};
    declared.push_back(one.name);
  }
  return resource.complain(
      "is " + inQuotes(name) + ", which resources does not declare; allowed: " +
      (declared.empty() ? "nothing yet, add it to resources" : join(declared, ", ")));
}

Result<attach::NetworkDefinition> readNetwork(
    const Field& field, const std::vector<advertise::RailResourceConfig>& resources,
    const attach::AddressPlanConfig& addresses) {
  RAILHEAD_TRY(field.checkKeys({"name", "namespace", "resource", "subnets", "mtu", "rdma"}));
  attach::NetworkDefinition network;
  RAILHEAD_TRY_ASSIGN(const Field name, field.required("name", "a network's name"));
  RAILHEAD_TRY_ASSIGN(network.name, name.text("a network's name", 63));
  if (const Field space = field.child("namespace"); space.present()) {
    RAILHEAD_TRY_ASSIGN(network.podNamespace, space.text("a Kubernetes namespace", 63));
  }
  RAILHEAD_TRY_ASSIGN(const Field resource, field.required("resource", "domain/name"));
  RAILHEAD_TRY_ASSIGN(network.resourceName, readResourceName(resource));
  RAILHEAD_TRY(checkDeclared(resource, network.resourceName, resources));
  RAILHEAD_TRY_ASSIGN(const Field subnets,
                      field.required("subnets", "a list with an entry for each rail"));
  RAILHEAD_TRY_ASSIGN(const auto rails, subnets.list(1, 8));
  for (const auto& rail : rails) {
    RAILHEAD_TRY_ASSIGN(auto prefixes, readRailSubnets(rail));
    network.railSubnets.push_back(std::move(prefixes));
  }
  if (const Field mtu = field.child("mtu"); mtu.present()) {
    RAILHEAD_TRY_ASSIGN(const auto bytes, mtu.number(provision::kMinMtu, provision::kMaxMtu));
    network.mtu = static_cast<int>(bytes);
  }
  if (const Field rdma = field.child("rdma"); rdma.present()) {
    RAILHEAD_TRY_ASSIGN(const std::string text, rdma.text("none, device, soft"));
    auto use = attach::parseRdmaUse(text);
    if (!use.has_value()) return rdma.complainAllowed("none, device, soft");
    network.rdma = *use;
  }
  RAILHEAD_TRY(placed(field, attach::validate(network, addresses)));
  return network;
}

// A number, or "lease": claimed from the API server when the agent starts.
Result<void> readOrdinal(const Field& field, AgentConfig& config) {
  if (!field.present()) return {};
  constexpr const char* kAllowed = "0 to 65535, or lease";
  RAILHEAD_TRY_ASSIGN(const std::string text, field.text(kAllowed));
  config.cluster.ordinalByLease = text == "lease";
  if (config.cluster.ordinalByLease) return {};
  const auto number = parseUnsigned(text);
  if (!number || *number > 65535) return field.complainAllowed(kAllowed);
  config.attach.addresses.nodeOrdinal = static_cast<int>(*number);
  return {};
}

Result<void> readNode(const Field& field, AgentConfig& config) {
  if (!field.present()) return {};
  attach::AddressPlanConfig& addresses = config.attach.addresses;
  RAILHEAD_TRY(field.checkKeys({"ordinal", "railSetsPerNode", "nodes"}));
  const auto read = [&](std::string_view key, std::uint64_t least, std::uint64_t most,
                        int& into) -> Result<void> {
    const Field number = field.child(key);
    if (!number.present()) return {};
    RAILHEAD_TRY_ASSIGN(const auto value, number.number(least, most));
    into = static_cast<int>(value);
    return {};
  };
  RAILHEAD_TRY(readOrdinal(field.child("ordinal"), config));
  RAILHEAD_TRY(read("railSetsPerNode", 1, 1024, addresses.railSetsPerNode));
  RAILHEAD_TRY(read("nodes", 1, 65536, addresses.nodes));
  if (addresses.nodes > 0 && addresses.nodeOrdinal >= addresses.nodes) {
    const std::string last = std::to_string(addresses.nodes - 1);
    return field.child("ordinal").complainAllowed("0 to " + last + ", since nodes is " +
                                                  std::to_string(addresses.nodes));
  }
  return {};
}

Result<void> readMetrics(const Field& field, std::optional<metrics::ListenAddress>& listen) {
  if (!field.present()) return {};
  RAILHEAD_TRY(field.checkKeys({"listen"}));
  const std::string allowed = "an address and a port, like 127.0.0.1:9477 or [::1]:9477";
  RAILHEAD_TRY_ASSIGN(const Field address, field.required("listen", allowed));
  RAILHEAD_TRY_ASSIGN(const std::string text, address.text(allowed, 64));
  const auto parsed = metrics::ListenAddress::parse(text);
  if (!parsed.has_value() || parsed->port == 0) return address.complainAllowed(allowed);
  listen = *parsed;
  return {};
}

Result<AgentConfig> readDevicePluginConfig(const Field& root, const Field& list) {
  RAILHEAD_TRY(root.checkKeys({"resourceList"}));
  AgentConfig config;
  config.functions.provision = false;
  config.functions.cni = false;
  config.functions.gpus = false;
  RAILHEAD_TRY_ASSIGN(config.resources, readResourceList(list));
  return config;
}

}  // namespace

Result<AgentConfig> parseConfig(std::string_view text, const std::string& source) {
  RAILHEAD_TRY_ASSIGN(const Field root, Field::parse(text, source));
  if (const Field list = root.child("resourceList"); list.present()) {
    return readDevicePluginConfig(root, list);
  }
  RAILHEAD_TRY(root.checkKeys({"version", "functions", "node", "provision", "twins", "resources",
                               "gpus", "cni", "networks", "metrics", "kubernetes", "profile"}));
  RAILHEAD_TRY_ASSIGN(const Field version, root.required("version", "1"));
  RAILHEAD_TRY(version.number(1, 1));
  AgentConfig config;
  RAILHEAD_TRY(readFunctions(root.child("functions"), config.functions));
  RAILHEAD_TRY(readNode(root.child("node"), config));
  RAILHEAD_TRY(readProvision(root.child("provision"), config.goal));
  RAILHEAD_TRY(readTwins(root.child("twins"), config.twins));
  RAILHEAD_TRY(readMetrics(root.child("metrics"), config.metrics));
  RAILHEAD_TRY(readCluster(root.child("kubernetes"), config.cluster));
  RAILHEAD_TRY_ASSIGN(config.resources, readResources(root.child("resources")));
  RAILHEAD_TRY_ASSIGN(config.gpus, readGpus(root.child("gpus")));
  RAILHEAD_TRY(checkGpuName(root, config));
  RAILHEAD_TRY_ASSIGN(config.cni, readCni(root.child("cni")));
  RAILHEAD_TRY_ASSIGN(config.profile, readProfileConfig(root.child("profile")));
  if (const Field networks = root.child("networks"); networks.present()) {
    RAILHEAD_TRY_ASSIGN(const auto entries, networks.list(0, 64));
    for (const auto& entry : entries) {
      RAILHEAD_TRY_ASSIGN(auto network,
                          readNetwork(entry, config.resources, config.attach.addresses));
      config.attach.networks.push_back(std::move(network));
    }
  }
  RAILHEAD_TRY(placed(root, provision::checkGoal(config.goal)));
  RAILHEAD_TRY(placed(root, attach::validate(config.attach)));
  return config;
}

Result<void> checkReloadable(const AgentConfig& before, const AgentConfig& after) {
  const auto refuse = [](const char* field) {
    return Error(ErrorCode::kInvalidArgument,
                 std::string(field) + " is different, and takes a restart of the agent")
        .withRemedy("restart railhead-agent; pods keep their rails");
  };
  Functions functions = after.functions;
  functions.gpus = before.functions.gpus;
  if (!(before.functions == functions)) return refuse("functions");
  if (!(before.attach.addresses == after.attach.addresses)) return refuse("node");
  if (!(before.metrics == after.metrics)) return refuse("metrics");
  if (!(before.cluster == after.cluster)) return refuse("kubernetes or node.ordinal");
  if (!(before.cni == after.cni)) return refuse("cni");
  return {};
}

}  // namespace railhead::agent
