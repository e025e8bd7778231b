#include "src/gpu/labels.h"

#include "src/base/text.h"
#include "src/base/units.h"

#include <algorithm>
#include <utility>

namespace railhead::gpu {
namespace {

using Labels = std::map<std::string, std::string>;

// Not std::isalnum: a locale has no say in it.
bool isAlphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

void addVersions(Labels& labels, const DriverInfo& driver) {
  const auto parts = split(driver.version, '.');
  const auto part = [&](std::size_t at) {
    return at < parts.size() ? labelValue(parts[at]) : std::string();
  };
  if (!driver.version.empty()) {
    labels["nvidia.com/cuda.driver-version.full"] = labelValue(driver.version);
    labels["nvidia.com/cuda.driver-version.major"] = part(0);
    labels["nvidia.com/cuda.driver-version.minor"] = part(1);
    labels["nvidia.com/cuda.driver-version.revision"] = part(2);
    // The older names of the same.
    labels["nvidia.com/cuda.driver.major"] = part(0);
    labels["nvidia.com/cuda.driver.minor"] = part(1);
    labels["nvidia.com/cuda.driver.rev"] = part(2);
  }
  if (driver.cudaMajor > 0) {
    const std::string major = std::to_string(driver.cudaMajor);
    const std::string minor = std::to_string(driver.cudaMinor);
    labels["nvidia.com/cuda.runtime-version.full"] = major + "." + minor;
    labels["nvidia.com/cuda.runtime-version.major"] = major;
    labels["nvidia.com/cuda.runtime-version.minor"] = minor;
    labels["nvidia.com/cuda.runtime.major"] = major;
    labels["nvidia.com/cuda.runtime.minor"] = minor;
  }
}

// Count, product and sharing of one resource. A GPU in MIG mode is not shared itself: replicas 0.
void addResource(Labels& labels, const std::string& resource, const std::string& product,
                 std::size_t count, unsigned replicas) {
  const bool shared = replicas > 1;
  labels[resource + ".product"] = labelValue(product + (shared ? "-SHARED" : ""));
  labels[resource + ".count"] = std::to_string(count);
  labels[resource + ".replicas"] = std::to_string(replicas);
  labels[resource + ".sharing-strategy"] = shared ? "time-slicing" : "none";
}

void addGpu(Labels& labels, const Gpu& gpu, std::size_t count, unsigned replicas) {
  const std::string resource = "nvidia.com/gpu";
  addResource(labels, resource, gpu.name, count, replicas);
  if (gpu.memoryBytes) labels[resource + ".memory"] = std::to_string(*gpu.memoryBytes / kMiB);
  if (gpu.compute && gpu.compute->major > 0) {
    labels[resource + ".family"] = gpuFamily(*gpu.compute);
    labels[resource + ".compute.major"] = std::to_string(gpu.compute->major);
    labels[resource + ".compute.minor"] = std::to_string(gpu.compute->minor);
  }
}

void addMig(Labels& labels, const std::string& resource, const Gpu& gpu, const MigDevice& mig,
            std::size_t count, unsigned replicas) {
  addResource(labels, resource, gpu.name + "-MIG-" + mig.profile, count, replicas);
  if (mig.memoryBytes) labels[resource + ".memory"] = std::to_string(*mig.memoryBytes / kMiB);
  const std::pair<const char*, unsigned> facts[] = {
      {".multiprocessors", mig.multiprocessors}, {".slices.gi", mig.gpuSlices},
      {".slices.ci", mig.computeSlices},         {".engines.copy", mig.copyEngines},
      {".engines.decoder", mig.decoders},        {".engines.encoder", mig.encoders},
      {".engines.jpeg", mig.jpegEngines},        {".engines.ofa", mig.ofaEngines}};
  for (const auto& [key, value] : facts) labels[resource + key] = std::to_string(value);
}

struct MigKind {
  const Gpu* gpu = nullptr;
  const MigDevice* mig = nullptr;
  std::size_t count = 0;
};

std::map<std::string, MigKind> migKinds(const GpuInventory& inventory) {
  std::map<std::string, MigKind> kinds;
  for (const auto& gpu : inventory.gpus) {
    for (const auto& mig : gpu.migDevices) {
      // '+' (media extensions) is no character of a resource's name.
      std::string profile = mig.profile;
      std::replace(profile.begin(), profile.end(), '+', '.');
      if (profile.empty()) continue;
      auto& kind = kinds[profile];
      kind = {&gpu, &mig, kind.count + 1};
    }
  }
  return kinds;
}

// The single strategy needs every GPU cut up, none left empty, and one profile.
bool isSingle(const GpuInventory& inventory, const std::map<std::string, MigKind>& kinds) {
  return kinds.size() == 1 &&
         std::all_of(inventory.gpus.begin(), inventory.gpus.end(),
                     [](const Gpu& gpu) { return gpu.migEnabled && !gpu.migDevices.empty(); });
}

void addMigStrategy(Labels& labels, const GpuInventory& inventory, const LabelOptions& options) {
  const auto kinds = migKinds(inventory);
  if (options.migStrategy == MigStrategy::kMixed) {
    labels["nvidia.com/mig.strategy"] = "mixed";
    for (const auto& [profile, kind] : kinds) {
      addMig(labels, "nvidia.com/mig-" + profile, *kind.gpu, *kind.mig, kind.count,
             options.replicas);
    }
    return;
  }
  labels["nvidia.com/mig.strategy"] = "single";
  const auto cut = std::find_if(inventory.gpus.begin(), inventory.gpus.end(),
                                [](const Gpu& gpu) { return gpu.migEnabled; });
  if (cut == inventory.gpus.end()) return;  // as the strategy "none"
  if (isSingle(inventory, kinds)) {
    const auto& kind = kinds.begin()->second;
    addMig(labels, "nvidia.com/gpu", *kind.gpu, *kind.mig, kind.count, options.replicas);
    return;
  }
  labels["nvidia.com/gpu.product"] = labelValue(cut->name + "-MIG-INVALID");
  labels["nvidia.com/gpu.count"] = "0";
  labels["nvidia.com/gpu.replicas"] = "0";
  labels["nvidia.com/gpu.sharing-strategy"] = "";
  labels["nvidia.com/gpu.memory"] = "0";
}

// "compute" for 3D controllers, "graphics" for VGA ones.
std::string modeOf(const GpuInventory& inventory) {
  const auto first = inventory.gpus.front().pciClass;
  const bool same = std::all_of(inventory.gpus.begin(), inventory.gpus.end(),
                                [&](const Gpu& gpu) { return gpu.pciClass == first; });
  if (!same || !first) return "unknown";
  if (*first == 0x030200) return "compute";
  return *first == 0x030000 ? "graphics" : "unknown";
}

}  // namespace

std::string labelValue(std::string_view text) {
  std::string value;
  bool blank = false;
  for (const char c : text) {
    if (c == ' ' || c == '\t') {
      blank = !value.empty();
    } else if (isAlphanumeric(c) || c == '-' || c == '_' || c == '.') {
      if (std::exchange(blank, false)) value += '-';
      value += c;
    }
  }
  const auto first = std::find_if(value.begin(), value.end(), isAlphanumeric);
  value.erase(value.begin(), first);
  if (value.size() > 63) value.resize(63);
  while (!value.empty() && !isAlphanumeric(value.back())) value.pop_back();
  return value;
}

std::string_view gpuFamily(const ComputeCapability& compute) {
  switch (compute.major) {
    case 1:
      return "tesla";
    case 2:
      return "fermi";
    case 3:
      return "kepler";
    case 5:
      return "maxwell";
    case 6:
      return "pascal";
    case 7:
      return compute.minor < 5 ? "volta" : "turing";
    case 8:
      return compute.minor < 9 ? "ampere" : "ada-lovelace";
    case 9:
      return "hopper";
    case 10:
    case 12:
      return "blackwell";
    case 13:
      return "rubin";
    default:
      return "undefined";
  }
}

Labels gpuLabels(const GpuInventory& inventory, const LabelOptions& options) {
  Labels labels;
  if (inventory.gpus.empty()) return labels;
  addVersions(labels, inventory.driver);
  const auto any = [&](auto property) {
    return std::any_of(inventory.gpus.begin(), inventory.gpus.end(), property);
  };
  labels["nvidia.com/mig.capable"] =
      any([](const Gpu& g) { return g.migCapable; }) ? "true" : "false";
  labels["nvidia.com/mps.capable"] = "false";
  labels["nvidia.com/gpu.mode"] = modeOf(inventory);
  std::map<std::string, std::size_t> counts;
  for (const auto& gpu : inventory.gpus) ++counts[gpu.name];
  // Whole GPUs after cut ones, so that theirs are the labels where both have the same name.
  for (const bool cut : {true, false}) {
    std::map<std::string, const Gpu*> kinds;
    for (const auto& gpu : inventory.gpus) {
      if (gpu.migEnabled == cut) kinds.try_emplace(gpu.name, &gpu);
    }
    for (const auto& [name, gpu] : kinds)
      addGpu(labels, *gpu, counts[name], cut ? 0 : options.replicas);
  }
  if (options.migStrategy != MigStrategy::kNone) addMigStrategy(labels, inventory, options);
  return labels;
}

}  // namespace railhead::gpu
