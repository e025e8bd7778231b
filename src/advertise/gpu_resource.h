// GPUs or MIG devices as one extended resource: what kubelet is told, and what a container that
// gets some of them receives. Thread-safe: health changes while kubelet asks.
#pragma once

#include "src/advertise/gpu_inventory.h"
#include "src/advertise/numa_trail.h"
#include "src/kube/device.h"

#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace railhead::advertise {

class GpuResource final : public kube::ResourceHandler {
 public:
  // `devDirectory`: the host's /dev. `trail`: shared with the node's other resources, may be null.
  GpuResource(std::string resource, std::string devDirectory, NumaTrail* trail = nullptr);

  const std::string& name() const { return resource_; }
  // What there is; `config` tells how it is handed out.
  void update(const GpuResourceConfig& config, GpuPool pool, std::vector<std::string> shared,
              GpuAffinity affinity);
  // By UUID of a GPU or MIG device: why it is unhealthy. A MIG device shares its GPU's fate.
  void setUnhealthy(std::map<std::string, std::string> reasons);

  // With replicas over 1, each unit is several devices: "UUID::0", "UUID::1", ...
  std::vector<kube::Device> devices() const;
  std::vector<GpuUnit> units() const;
  std::string reasonOf(const GpuUnit& unit) const;  // empty: healthy
  unsigned replicas() const;

  // env: NVIDIA_VISIBLE_DEVICES. volume: a mount of /dev/null for each UUID, below
  // /var/run/nvidia-container-devices. cdi: CDI names, in the field and as an annotation for
  // runtimes before CRI's field, and NVIDIA_VISIBLE_DEVICES=void, so that NVIDIA's runtime adds
  // nothing by itself. A GPU of which a container gets two replicas is named once.
  Result<kube::AllocateAnswer> allocate(const std::vector<std::string>& ids) override;

  // One whole GPU: near what the container got of other resources (its rails). Several: those that
  // are joined by NVLink, then those near each other; of equal choices the one that keeps the rest
  // together best. MIG devices: of as few GPUs as can be. Replicas: spread
  // over the units, least shared ones first.
  Result<std::vector<std::string>> preferred(const std::vector<std::string>& available,
                                             const std::vector<std::string>& must,
                                             std::size_t size) override;

 private:
  const GpuUnit* find(std::string_view id) const;
  std::vector<std::string> nearest(const std::vector<std::string>& available) const;
  int affinity(const GpuUnit& a, const GpuUnit& b) const;
  std::vector<std::string> together(const std::vector<std::string>& available,
                                    const std::vector<std::string>& must, std::size_t size) const;
  std::vector<std::string> spread(const std::vector<std::string>& available,
                                  const std::vector<std::string>& must, std::size_t size) const;

  const std::string resource_;
  const std::string devDirectory_;
  NumaTrail* const trail_;
  mutable std::mutex mutex_;
  GpuResourceConfig config_;
  std::vector<GpuUnit> units_;
  std::vector<std::string> shared_;
  GpuAffinity affinity_;
  std::map<std::string, std::string> unhealthy_;
};

}  // namespace railhead::advertise
