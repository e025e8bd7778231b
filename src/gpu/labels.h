// Node labels about GPUs, so that a selector written for NVIDIA's gpu-feature-discovery works here.
// Pure; thread-safe.
#pragma once

#include "src/gpu/gpu.h"

#include <map>
#include <string>
#include <string_view>

namespace railhead::gpu {

enum class MigStrategy {
  kNone,    // MIG devices are not offered
  kSingle,  // as nvidia.com/gpu: every GPU is cut up, all into the same profile
  kMixed,   // as nvidia.com/mig-<profile>
};

struct LabelOptions {
  unsigned replicas = 1;  // pods that share one device; over 1: time slicing
  MigStrategy migStrategy = MigStrategy::kNone;
};

// Names and values as gpu-feature-discovery of k8s-device-plugin v0.20 has them: nvidia.com/gpu.*,
// cuda.*, mig.*. Without a GPU: none. With GPUs of several kinds: those of the kind that comes
// last in its name's order, as there. A fact that the driver does not know has no label (GB10:
// gpu.memory, which is in MiB).
std::map<std::string, std::string> gpuLabels(const GpuInventory& inventory,
                                             const LabelOptions& options);

// What Kubernetes takes as a label's value, from any text: blanks become '-', other characters that
// it forbids go, the ends are letters or digits, at most 63 characters.
std::string labelValue(std::string_view text);

// "hopper"; "undefined" for one that is not known yet.
std::string_view gpuFamily(const ComputeCapability& compute);

}  // namespace railhead::gpu
