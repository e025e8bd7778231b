#include "lab/demo/scenario.h"

#include <algorithm>
#include <sstream>

#include <nlohmann/json.hpp>

namespace railhead::lab {

std::size_t railsPerSet(const Topology& topology) { return topology.twins.empty() ? 1 : 2; }

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

std::string cniConflist() {
  // No primary network in the emulated nodes: the rails are all that the demo's pods need.
  const nlohmann::ordered_json list{
      {"cniVersion", "1.1.0"},
      {"name", "railhead"},
      {"plugins",
       {{{"type", "railhead-cni"},
         {"capabilities", {{"io.kubernetes.cri.pod-annotations", true}}}}}}};
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
