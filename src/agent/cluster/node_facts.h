// What the agent tells the cluster of its node, from what it offers to kubelet. Pure.
#pragma once

#include "src/agent/cluster/health_news.h"
#include "src/agent/cluster/node_labels.h"
#include "src/agent/gpu_offers.h"
#include "src/agent/offers.h"

#include <vector>

namespace railhead::agent {

// Every device of every resource.
std::vector<DeviceHealth> deviceHealth(const std::vector<OfferStatus>& rails,
                                       const GpuStatus& gpus);

// For each resource of rails that has devices, named after what follows its slash:
// railhead.io/NAME.count (devices) and railhead.io/NAME.rails (VFs in each); and those of `gpus`.
Labels nodeLabels(const std::vector<OfferStatus>& rails, Labels gpus);

}  // namespace railhead::agent
