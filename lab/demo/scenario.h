// What the demo puts on its nodes: the agent's configuration, a CNI configuration, two pods. Pure
// functions over a topology; what they make is what a user would write for real nodes.
#pragma once

#include "lab/topology/topology.h"

#include <string>
#include <vector>

namespace railhead::lab {

inline constexpr const char* kDemoResource = "nvidia.com/cx7_qsfp";
inline constexpr const char* kDemoNetwork = "dgx-qsfp";
inline constexpr const char* kDemoNamespace = "default";

// One rail set on a topology has that many rails: its PFs behind one cage.
std::size_t railsPerSet(const Topology& topology);

// Rail that a PF of this name carries: 1 for the second of a pair of twins, else 0.
int railOfPf(const Topology& topology, const std::string& pf);

struct NodePair {
  std::size_t from = 0;  // the one that writes
  std::size_t to = 0;
  bool operator==(const NodePair&) const = default;
};

// Who measures with whom. Two nodes are one pair. More make a ring: each writes once, to the next
// node that its links reach on every rail; one that reaches no other so is left out.
std::vector<NodePair> measuredPairs(const Topology& topology);

// Every node reaches every other one on every rail.
bool allReachAll(const Topology& topology);

std::string agentConfig(const Topology& topology, std::size_t node);  // YAML
// The nodes have no primary network, unless one is asked for: a bridge of each node for itself.
enum class Primary { kNone, kBridge };
std::string cniConflist(Primary primary = Primary::kNone, std::size_t node = 0);  // JSON
std::string podName(std::size_t node);                                            // "trainer-0"
std::string podSpec(std::size_t node);  // JSON, for the kubelet stand-in

}  // namespace railhead::lab
