// The `gpus` of the agent's configuration.
#pragma once

#include "src/advertise/gpu_inventory.h"
#include "src/config/field.h"

#include <chrono>
#include <cstdint>
#include <set>
#include <string>

namespace railhead::agent {

inline constexpr unsigned kMaxReplicas = 128;
inline constexpr std::size_t kMaxIgnoredXids = 256;
inline constexpr std::uint64_t kMaxXid = 65535;
inline constexpr std::uint64_t kMaxQuietSeconds = 3600;

struct GpusConfig {
  advertise::GpuResourceConfig resource;
  std::set<std::uint64_t> ignoreXids;  // beside those that are an application's own fault
  std::string labelsFile;              // absolute; empty: none is written
  // How long the first offer since the boot waits for another device plugin for GPUs: kubelet takes
  // the GPUs from the other one when both registered.
  std::chrono::seconds quiet{60};
  bool operator==(const GpusConfig&) const = default;
};

Result<GpusConfig> readGpus(const config::Field& field);

}  // namespace railhead::agent
