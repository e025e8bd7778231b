// What the demo puts on its nodes: the agent's configuration, a CNI configuration, two pods. Pure
// functions over a topology; what they make is what a user would write for real nodes.
#pragma once

#include "lab/topology/topology.h"

#include <string>

namespace railhead::lab {

inline constexpr const char* kDemoResource = "nvidia.com/cx7_qsfp";
inline constexpr const char* kDemoNetwork = "dgx-qsfp";
inline constexpr const char* kDemoNamespace = "default";

// One rail set on a topology has that many rails: its PFs behind one cage.
std::size_t railsPerSet(const Topology& topology);

std::string agentConfig(const Topology& topology, std::size_t node);  // YAML
std::string cniConflist();                                            // JSON
std::string podName(std::size_t node);                                // "trainer-0"
std::string podSpec(std::size_t node);  // JSON, for the kubelet stand-in

}  // namespace railhead::lab
