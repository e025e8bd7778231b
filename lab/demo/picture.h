// From what the agent and the kubelet stand-in say of themselves to the report's picture. Pure;
// every text is checked, since it comes over a wire: kCorrupt names what is missing.
#pragma once

#include "lab/topology/topology.h"
#include "src/base/result.h"
#include "src/report/model/report.h"

#include <string>
#include <string_view>
#include <vector>

namespace railhead::lab {

// `agentStatus`: railhead-agent status; `kubeletStatus`: railhead-lab-kubelet status.
Result<report::Node> nodePicture(const std::string& name, std::string_view agentStatus,
                                 std::string_view kubeletStatus);

// One pod's attachment from the agent's status. kNotFound when the agent does not know it.
Result<report::Pod> podPicture(const std::string& node, const std::string& podNamespace,
                               const std::string& pod, std::string_view agentStatus,
                               std::string_view podJson);

// The agent looks at its node once a second, so its picture may be from before, amid or after the
// attachment. For the VFs that this pod holds the attachment itself counts: no netdev on the node,
// the MAC that the pod sees, the pod's name, its rail set.
void placePod(report::Node& node, const report::Pod& pod);

// The rate of the link behind each interface of a pod on topology.nodes[index], in their order.
// kNotFound names an interface whose PF has no link.
Result<std::vector<BitRate>> lineRates(const Topology& topology, std::size_t index,
                                       const report::Node& node, const report::Pod& pod);

report::Topology topologyPicture(const Topology& topology);

}  // namespace railhead::lab
