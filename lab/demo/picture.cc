#include "lab/demo/picture.h"

#include "lab/demo/scenario.h"
#include "src/base/text.h"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace railhead::lab {
namespace {

using Json = nlohmann::json;

Result<Json> parse(std::string_view text, const std::string& what) {
  Json json = Json::parse(text, nullptr, false);
  if (!json.is_object())
    return Error(ErrorCode::kCorrupt, what + " is not a JSON object: " + inQuotes(text, 60));
  return json;
}

// Readers that give an empty value for what is absent or of another type.
const Json& at(const Json& object, const char* key) {
  static const Json kAbsent;
  const auto found = object.is_object() ? object.find(key) : object.end();
  return object.is_object() && found != object.end() ? *found : kAbsent;
}
std::string text(const Json& object, const char* key) {
  const Json& value = at(object, key);
  return value.is_string() ? value.get<std::string>() : std::string();
}
int number(const Json& object, const char* key) {
  const Json& value = at(object, key);
  return value.is_number_integer() ? value.get<int>() : 0;
}
bool flag(const Json& object, const char* key) {
  const Json& value = at(object, key);
  return value.is_boolean() && value.get<bool>();
}

// VF address -> (rail set, pod), from the agent's resources and kubelet's holders.
struct Holding {
  std::string railSet;
  std::string pod;
};

std::map<std::string, Holding> holdings(const Json& agent, const Json& kubelet,
                                        std::vector<report::RailSet>& sets) {
  std::map<std::string, std::string> podOf;
  for (const auto& [resource, entry] : at(kubelet, "resources").items()) {
    for (const auto& device : at(entry, "devices")) podOf[text(device, "id")] = text(device, "pod");
  }
  std::map<std::string, Holding> byVf;
  for (const auto& resource : at(agent, "resources")) {
    for (const auto& device : at(resource, "devices")) {
      report::RailSet set;
      set.id = text(device, "id");
      set.healthy = flag(device, "healthy");
      set.pod = podOf[set.id];
      for (const auto& rail : at(device, "rails")) {
        set.vfs.push_back(text(rail, "vf"));
        byVf[set.vfs.back()] = {set.id, set.pod};
      }
      sets.push_back(std::move(set));
    }
  }
  return byVf;
}

report::Pf pfPicture(const Json& pf, const std::map<std::string, Holding>& byVf) {
  report::Pf picture;
  picture.name = text(pf, "netdev");
  picture.pci = text(pf, "pci");
  picture.driver = text(pf, "driver");
  picture.mac = text(pf, "mac");
  picture.mtu = number(pf, "mtu");
  picture.carrier = flag(pf, "carrier");
  for (const auto& vf : at(pf, "vfs")) {
    report::Vf one;
    one.index = number(vf, "index");
    one.pci = text(vf, "pci");
    one.netdev = text(vf, "netdev");
    one.mac = text(vf, "mac");
    if (const auto held = byVf.find(one.pci); held != byVf.end()) {
      one.railSet = held->second.railSet;
      one.pod = held->second.pod;
    }
    picture.vfs.push_back(std::move(one));
  }
  return picture;
}

// Twins share a cage in the agent's picture.
void pairTwins(const Json& node, std::vector<report::Pf>& pfs) {
  for (const auto& cage : at(node, "cages")) {
    const Json& members = cage.is_array() ? cage : at(cage, "pfs");
    if (members.size() < 2) continue;
    for (auto& pf : pfs) {
      const auto isMember = [&](const std::string& pci) {
        return std::any_of(members.begin(), members.end(),
                           [&](const Json& m) { return m.is_string() && m == pci; });
      };
      if (!isMember(pf.pci)) continue;
      for (const auto& other : pfs) {
        if (other.pci != pf.pci && isMember(other.pci)) pf.twin = other.name;
      }
    }
  }
}

// "net1" -> its object among the CNI result's interfaces.
const Json& interfaceNamed(const Json& cni, const std::string& name) {
  static const Json kAbsent;
  for (const auto& one : at(cni, "interfaces")) {
    if (text(one, "name") == name) return one;
  }
  return kAbsent;
}

}  // namespace

Result<report::Node> nodePicture(const std::string& name, std::string_view agentStatus,
                                 std::string_view kubeletStatus) {
  RAILHEAD_TRY_ASSIGN(const Json agent, parse(agentStatus, name + ": the agent's status"));
  RAILHEAD_TRY_ASSIGN(const Json kubelet, parse(kubeletStatus, name + ": kubelet's status"));
  report::Node picture;
  picture.name = name;
  const Json& node = at(agent, "node");
  picture.kernel = text(node, "kernel");
  const auto byVf = holdings(agent, kubelet, picture.railSets);
  for (const auto& pf : at(node, "pfs")) picture.pfs.push_back(pfPicture(pf, byVf));
  pairTwins(node, picture.pfs);
  for (const auto& [resource, count] : at(kubelet, "allocatable").items()) {
    if (count.is_number_unsigned()) picture.allocatable[resource] = count.get<std::uint64_t>();
  }
  return picture;
}

Result<report::Pod> podPicture(const std::string& node, const std::string& podNamespace,
                               const std::string& pod, std::string_view agentStatus,
                               std::string_view podJson) {
  RAILHEAD_TRY_ASSIGN(const Json agent, parse(agentStatus, node + ": the agent's status"));
  RAILHEAD_TRY_ASSIGN(const Json made, parse(podJson, node + ": the pod"));
  const Json& cni = at(made, "cni");
  report::Pod picture;
  picture.name = pod;
  picture.namespaceName = podNamespace;
  picture.node = node;
  for (const auto& attachment : at(agent, "attachments")) {
    if (text(attachment, "pod") != pod || text(attachment, "namespace") != podNamespace) continue;
    for (const auto& rail : at(attachment, "rails")) {
      report::Interface interface;
      interface.name = text(rail, "name");
      interface.rail = number(rail, "rail");
      interface.vf = text(rail, "vf");
      interface.rdma = text(rail, "rdma");
      const Json& addresses = at(rail, "addresses");
      if (addresses.is_array() && !addresses.empty() && addresses[0].is_string())
        interface.address = addresses[0];
      const Json& inResult = interfaceNamed(cni, interface.name);
      interface.mac = text(inResult, "mac");
      interface.mtu = number(inResult, "mtu");
      picture.railSet = text(rail, "rail_set");
      picture.interfaces.push_back(std::move(interface));
    }
    return picture;
  }
  return Error(ErrorCode::kNotFound,
               node + ": the agent has no attachment of pod " + podNamespace + "/" + pod);
}

void placePod(report::Node& node, const report::Pod& pod) {
  for (auto& set : node.railSets) {
    if (set.id == pod.railSet) set.pod = pod.fullName();
  }
  for (auto& pf : node.pfs) {
    for (auto& vf : pf.vfs) {
      for (const auto& interface : pod.interfaces) {
        if (interface.vf != vf.pci) continue;
        vf.netdev.clear();
        if (!interface.mac.empty()) vf.mac = interface.mac;
        vf.pod = pod.fullName();
        vf.railSet = pod.railSet;
      }
    }
  }
}

Result<std::vector<BitRate>> lineRates(const Topology& topology, std::size_t index,
                                       const report::Node& node, const report::Pod& pod) {
  std::vector<BitRate> rates;
  for (const auto& interface : pod.interfaces) {
    const LinkSpec* link = nullptr;
    for (const auto& pf : node.pfs) {
      const bool behind = std::any_of(pf.vfs.begin(), pf.vfs.end(),
                                      [&](const auto& vf) { return vf.pci == interface.vf; });
      if (!behind) continue;
      const auto& specs = topology.nodes[index].pfs;
      for (std::size_t i = 0; i < specs.size(); ++i) {
        if (specs[i].name == pf.name) link = topology.linkOf({index, i});
      }
    }
    if (link == nullptr) {
      return Error(ErrorCode::kNotFound, node.name + ": " + interface.name + " of pod " +
                                             pod.fullName() + " (VF " + interface.vf +
                                             ") is on a PF without a link");
    }
    rates.push_back(link->rate);
  }
  return rates;
}

report::Topology topologyPicture(const Topology& topology) {
  report::Topology picture;
  picture.name = topology.name;
  for (const auto& link : topology.links) {
    report::Link one;
    one.name = link.name;
    one.rateGbps = link.rate.gbps();
    for (const auto& end : link.ends) {
      const std::string& pf = topology.nodes[end.node].pfs[end.pf].name;
      one.ends.push_back({topology.nodes[end.node].name, pf});
      one.rail = std::max(one.rail, railOfPf(topology, pf));
    }
    picture.links.push_back(std::move(one));
  }
  return picture;
}

}  // namespace railhead::lab
