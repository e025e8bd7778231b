// From what the agent and the kubelet stand-in say of themselves to the report's picture. Pure;
// every text is checked, since it comes over a wire: kCorrupt names what is missing.
#pragma once

#include "lab/topology/topology.h"
#include "src/base/result.h"
#include "src/report/model/report.h"

#include <string>
#include <string_view>

namespace railhead::lab {

// `agentStatus`: railhead-agent status; `kubeletStatus`: railhead-lab-kubelet status.
Result<report::Node> nodePicture(const std::string& name, std::string_view agentStatus,
                                 std::string_view kubeletStatus);

// One pod's attachment from the agent's status. kNotFound when the agent does not know it.
Result<report::Pod> podPicture(const std::string& node, const std::string& podNamespace,
                               const std::string& pod, std::string_view agentStatus,
                               std::string_view podJson);

report::Topology topologyPicture(const Topology& topology);

}  // namespace railhead::lab
