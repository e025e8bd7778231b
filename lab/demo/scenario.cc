#include "lab/demo/scenario.h"

#include <algorithm>
#include <sstream>

#include <nlohmann/json.hpp>

namespace railhead::lab {

std::size_t railsPerSet(const Topology& topology) { return topology.twins.empty() ? 1 : 2; }

int railOfPf(const Topology& topology, const std::string& pf) {
  return std::any_of(topology.twins.begin(), topology.twins.end(),
                     [&](const auto& twins) { return twins.second == pf; })
             ? 1
             : 0;
}

namespace {

// Every cable of `from` leads to a PF of `to` that carries the same rail.
bool reaches(const Topology& topology, std::size_t from, std::size_t to) {
  bool any = false;
  for (const auto& link : topology.links) {
    for (const auto& end : link.ends) {
      if (end.node != from) continue;
      const int rail = railOfPf(topology, topology.nodes[from].pfs[end.pf].name);
      const bool there = std::any_of(link.ends.begin(), link.ends.end(), [&](const LinkEnd& other) {
        return other.node == to &&
               railOfPf(topology, topology.nodes[to].pfs[other.pf].name) == rail;
      });
      if (!there) return false;
      any = true;
    }
  }
  return any;
}

}  // namespace

std::vector<NodePair> measuredPairs(const Topology& topology) {
  const std::size_t count = topology.nodes.size();
  if (count < 2) return {};
  if (count == 2) return {{0, 1}};
  std::vector<NodePair> pairs;
  for (std::size_t from = 0; from < count; ++from) {
    for (std::size_t step = 1; step < count; ++step) {
      const std::size_t to = (from + step) % count;
      if (!reaches(topology, from, to)) continue;
      pairs.push_back({from, to});
      break;
    }
  }
  return pairs;
}

bool allReachAll(const Topology& topology) {
  for (std::size_t from = 0; from < topology.nodes.size(); ++from) {
    for (std::size_t to = 0; to < topology.nodes.size(); ++to) {
      if (from != to && !reaches(topology, from, to)) return false;
    }
  }
  return true;
}

std::string agentConfig(const Topology& topology, std::size_t node) {
  const NodeSpec& spec = topology.nodes[node];
  unsigned vfs = 1;
  for (const auto& pf : spec.pfs) vfs = std::max(vfs, pf.vfs);
  std::ostringstream out;
  out << "version: 1\n"
      << "node: {ordinal: " << node << ", railSetsPerNode: " << vfs
      << ", nodes: " << topology.nodes.size() << "}\n"
      << "provision:\n  pfs:\n";
  for (const auto& pf : spec.pfs) {
    out << "    - select: {driver: igb, name: " << pf.name << "}\n      vfs: " << pf.vfs
        << "\n      trust: true\n";
  }
  out << "twins:";
  if (topology.twins.empty()) out << " []";
  for (const auto& [first, second] : topology.twins)
    out << "\n  - [" << first << ", " << second << "]";
  out << "\nresources:\n  - name: " << kDemoResource << "\nnetworks:\n  - name: " << kDemoNetwork
      << "\n    resource: " << kDemoResource << "\n    rdma: soft\n    subnets:\n";
  for (std::size_t rail = 0; rail < railsPerSet(topology); ++rail)
    out << "      - 10.100." << rail << ".0/24\n";
  return out.str();
}

std::string cniConflist(Primary primary, std::size_t node) {
  using Json = nlohmann::ordered_json;
  Json list{{"cniVersion", "1.1.0"}, {"name", "railhead"}, {"plugins", Json::array()}};
  if (primary == Primary::kBridge) {
    // No masquerading: nothing is behind the node, and it would need iptables.
    const std::string subnet = "10.244." + std::to_string(node) + ".0/24";
    list["cniVersion"] = "1.0.0";  // what every containerd that hands annotations on understands
    list["name"] = "lab";
    const Json range{{"subnet", subnet}};
    list["plugins"].push_back(Json{
        {"type", "bridge"},
        {"bridge", "cni0"},
        {"isGateway", true},
        {"ipMasq", false},
        {"ipam", Json{{"type", "host-local"}, {"ranges", Json::array({Json::array({range})})}}}});
  }
  list["plugins"].push_back(Json{{"type", "railhead-cni"},
                                 {"capabilities", {{"io.kubernetes.cri.pod-annotations", true}}}});
  return list.dump(2) + "\n";
}

std::string podName(std::size_t node) { return "trainer-" + std::to_string(node); }

std::string podSpec(std::size_t node) {
  const nlohmann::ordered_json pod{{"name", podName(node)},
                                   {"namespace", kDemoNamespace},
                                   {"annotations", {{"k8s.v1.cni.cncf.io/networks", kDemoNetwork}}},
                                   {"resources", {{kDemoResource, 1}}}};
  return pod.dump();
}

}  // namespace railhead::lab
