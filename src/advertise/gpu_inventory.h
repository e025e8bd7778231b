// Which extended resources a node's GPUs make, and of which devices. Plain values; kept apart from
// publishing, as the rails' inventory is.
#pragma once

#include "src/advertise/cdi.h"
#include "src/gpu/gpu.h"
#include "src/gpu/labels.h"
#include "src/os/filesystem.h"
#include "src/os/host_paths.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace railhead::advertise {

// How a container's runtime is told which GPUs it gets. The three are those of NVIDIA's device
// plugin (v0.20: envvar, volume-mounts, cdi-cri), so that its container toolkit understands them.
enum class GpuListStrategy { kEnv, kVolume, kCdi };

struct GpuResourceConfig {
  std::string name = "nvidia.com/gpu";
  GpuListStrategy strategy = GpuListStrategy::kEnv;
  unsigned replicas = 1;  // pods that share one device
  gpu::MigStrategy mig = gpu::MigStrategy::kNone;
  bool deviceNodes = false;  // for runtimes that do not inject them
  bool operator==(const GpuResourceConfig&) const = default;
};

// What is handed out as one device (or as `replicas` ones): a GPU or a MIG device.
struct GpuUnit {
  std::string uuid;
  std::string gpu;      // UUID of its GPU; the same for a whole one
  std::string index;    // "0"; of a MIG device "0:1": GPU and position on it
  std::string profile;  // of a MIG device: "1g.10gb"
  std::optional<int> numaNode;
  std::vector<std::string> deviceNodes;  // its own ones; empty when the driver does not say
  std::string withheld;                  // why it cannot be handed out; empty: it can
};

struct GpuPool {
  std::string resource;  // "nvidia.com/gpu", "nvidia.com/mig-1g.10gb"
  std::vector<GpuUnit> units;
};

// How well two GPUs work together, by UUIDs in order; higher is better. NVLink (more links, more
// points) comes before anything that PCIe gives, then the nearer common ancestor and the same NUMA
// node.
using GpuAffinity = std::map<std::pair<std::string, std::string>, int>;

struct GpuOffer {
  std::vector<GpuPool> pools;         // the first is the configured resource; it may be empty
  std::vector<std::string> shared;    // device nodes that every GPU needs: nvidiactl, nvidia-uvm
  std::vector<std::string> problems;  // why GPUs are not offered, one line each
  GpuAffinity affinity;
};

// MIG strategies are those of NVIDIA's plugin. none: whole GPUs, also those in MIG mode. single:
// MIG devices under the configured name; every GPU must be cut up, all into one profile, else
// nothing is offered. mixed: GPUs that are not cut up under that name, MIG devices under
// <domain>/mig-<profile>. Reads which device nodes there are, from /dev and /proc.
GpuOffer takeGpuInventory(const gpu::GpuInventory& inventory, const GpuResourceConfig& config,
                          os::Filesystem& files, const os::HostPaths& paths);

// With CDI names: withholds the units whose device nodes are unknown, for no specification of ours
// can name them, unless one of another program (`taken`, by name) does.
void withholdUnspecified(GpuOffer& offer, const std::map<std::string, std::string>& taken);

// The kind under which runtimes know NVIDIA's devices; also that of nvidia-ctk's specification.
inline constexpr const char* kGpuCdiKind = "nvidia.com/gpu";

// Names: each UUID, each whole GPU's index, "all"; those in `taken` are left out, since another
// program specifies them. Device nodes only: driver libraries are nvidia-container-toolkit's to
// add.
CdiSpec gpuCdiSpec(const GpuOffer& offer, const std::map<std::string, std::string>& taken);

}  // namespace railhead::advertise
