#include "src/advertise/gpu_inventory.h"

#include "src/base/text.h"

#include <algorithm>
#include <set>
#include <utility>

namespace railhead::advertise {
namespace {

using gpu::MigStrategy;

// Device numbers of MIG capabilities: "gpu0/gi1/access 12", "gpu0/gi1/ci0/access 13".
std::map<std::string, std::string> readCapabilities(os::Filesystem& files,
                                                    const os::HostPaths& paths) {
  std::map<std::string, std::string> numbers;
  const auto text = files.readFile(paths.proc + "/driver/nvidia-caps/mig-minors");
  if (!text) return numbers;
  for (const auto line : split(*text, '\n')) {
    const auto blank = line.find(' ');
    if (blank == std::string_view::npos) continue;
    const auto number = parseUnsigned(trim(line.substr(blank)));
    if (number) numbers[std::string(line.substr(0, blank))] = std::to_string(*number);
  }
  return numbers;
}

std::vector<std::string> gpuNodes(const gpu::Gpu& gpu, const os::HostPaths& paths) {
  if (!gpu.minor) return {};
  return {paths.dev + "/nvidia" + std::to_string(*gpu.minor)};
}

// None unless all that the MIG device needs are known.
std::vector<std::string> migNodes(const gpu::Gpu& gpu, const gpu::MigDevice& mig,
                                  const std::map<std::string, std::string>& capabilities,
                                  const os::HostPaths& paths) {
  if (!gpu.minor || !mig.gpuInstance || !mig.computeInstance) return {};
  const std::string instance =
      "gpu" + std::to_string(*gpu.minor) + "/gi" + std::to_string(*mig.gpuInstance);
  const auto whole = capabilities.find(instance + "/access");
  const auto part =
      capabilities.find(instance + "/ci" + std::to_string(*mig.computeInstance) + "/access");
  if (whole == capabilities.end() || part == capabilities.end()) return {};
  std::vector<std::string> nodes = gpuNodes(gpu, paths);
  for (const auto& number : {whole->second, part->second})
    nodes.push_back(paths.dev + "/nvidia-caps/nvidia-cap" + number);
  return nodes;
}

std::vector<std::string> sharedNodes(os::Filesystem& files, const os::HostPaths& paths) {
  std::vector<std::string> nodes{paths.dev + "/nvidiactl"};
  for (const char* name : {"/nvidia-uvm", "/nvidia-uvm-tools"}) {
    if (files.exists(paths.dev + name)) nodes.push_back(paths.dev + name);
  }
  return nodes;
}

GpuUnit wholeUnit(const gpu::Gpu& gpu, const os::HostPaths& paths) {
  return {gpu.uuid, gpu.uuid, std::to_string(gpu.index), "", gpu.numaNode, gpuNodes(gpu, paths),
          ""};
}

// '+' (media extensions) is no character of a resource's name.
std::string migResource(const std::string& resource, std::string profile) {
  std::replace(profile.begin(), profile.end(), '+', '.');
  return resource.substr(0, resource.find('/')) + "/mig-" + profile;
}

GpuPool& poolOf(std::vector<GpuPool>& pools, const std::string& resource) {
  const auto found = std::find_if(pools.begin(), pools.end(),
                                  [&](const auto& pool) { return pool.resource == resource; });
  if (found != pools.end()) return *found;
  return pools.emplace_back(GpuPool{resource, {}});
}

// Why the GPUs do not fit the single strategy; empty when they do.
std::string singleProblem(const gpu::GpuInventory& inventory) {
  std::set<std::string> profiles;
  for (const auto& gpu : inventory.gpus) {
    const std::string name = "GPU " + std::to_string(gpu.index) + " (" + gpu.uuid + ")";
    if (!gpu.migEnabled)
      return name + " is not in MIG mode while another is, which `mig: single` does not allow";
    if (gpu.migDevices.empty())
      return name + " is in MIG mode and has no MIG device, which `mig: single` does not allow";
    for (const auto& mig : gpu.migDevices) profiles.insert(mig.profile);
  }
  if (profiles.size() <= 1) return {};
  return "MIG devices of several profiles (" +
         join(std::vector<std::string>(profiles.begin(), profiles.end()), ", ") +
         "), which `mig: single` does not allow; use mixed";
}

int links(const gpu::Gpu& a, const gpu::Gpu& b) {
  const auto toSwitch = [](const gpu::Gpu& gpu) {
    return static_cast<int>(
        std::count_if(gpu.nvLinks.begin(), gpu.nvLinks.end(),
                      [](const auto& link) { return link.peer == gpu::NvLinkPeer::kSwitch; }));
  };
  const auto direct = std::count_if(a.nvLinks.begin(), a.nvLinks.end(), [&](const auto& link) {
    return link.peer == gpu::NvLinkPeer::kGpu && link.remote == b.pci;
  });
  return static_cast<int>(direct) + std::min(toSwitch(a), toSwitch(b));
}

int nearness(const gpu::Gpu& a, const gpu::Gpu& b) {
  const auto known = std::find_if(a.distances.begin(), a.distances.end(),
                                  [&](const auto& each) { return each.index == b.index; });
  if (known == a.distances.end()) return 0;
  switch (known->distance) {
    case gpu::Distance::kSameBoard:
      return 60;
    case gpu::Distance::kOneSwitch:
      return 50;
    case gpu::Distance::kSwitches:
      return 40;
    case gpu::Distance::kHostBridge:
      return 30;
    case gpu::Distance::kNumaNode:
      return 20;
    case gpu::Distance::kSystem:
      break;
  }
  return 0;
}

GpuAffinity affinityOf(const std::vector<gpu::Gpu>& gpus) {
  GpuAffinity affinity;
  for (const auto& a : gpus) {
    for (const auto& b : gpus) {
      if (a.uuid >= b.uuid) continue;
      const int count = links(a, b);
      int points = nearness(a, b);
      if (count > 0) points += 1000 + 10 * count;
      if (a.numaNode && a.numaNode == b.numaNode) points += 15;
      affinity[{a.uuid, b.uuid}] = points;
    }
  }
  return affinity;
}

}  // namespace

GpuOffer takeGpuInventory(const gpu::GpuInventory& inventory, const GpuResourceConfig& config,
                          os::Filesystem& files, const os::HostPaths& paths) {
  GpuOffer offer;
  offer.pools.push_back({config.name, {}});
  if (inventory.gpus.empty()) return offer;
  offer.shared = sharedNodes(files, paths);
  offer.affinity = affinityOf(inventory.gpus);
  const bool anyCut = std::any_of(inventory.gpus.begin(), inventory.gpus.end(),
                                  [](const auto& gpu) { return gpu.migEnabled; });
  const bool cutUp = config.mig != MigStrategy::kNone && anyCut;
  if (cutUp && config.mig == MigStrategy::kSingle) {
    if (auto problem = singleProblem(inventory); !problem.empty()) {
      offer.problems.push_back(std::move(problem));
      return offer;
    }
  }
  const auto capabilities =
      cutUp ? readCapabilities(files, paths) : decltype(readCapabilities(files, paths)){};
  for (const auto& gpu : inventory.gpus) {
    if (!cutUp || !gpu.migEnabled) {
      offer.pools.front().units.push_back(wholeUnit(gpu, paths));
      continue;
    }
    std::size_t position = 0;
    for (const auto& mig : gpu.migDevices) {
      const std::string index = std::to_string(gpu.index) + ":" + std::to_string(position++);
      if (config.mig == MigStrategy::kMixed && mig.profile.empty()) {
        offer.problems.push_back("MIG device " + mig.uuid + " does not tell its profile");
        continue;
      }
      const std::string resource =
          config.mig == MigStrategy::kMixed ? migResource(config.name, mig.profile) : config.name;
      poolOf(offer.pools, resource)
          .units.push_back({mig.uuid, gpu.uuid, index, mig.profile, gpu.numaNode,
                            migNodes(gpu, mig, capabilities, paths), ""});
    }
  }
  return offer;
}

void withholdUnspecified(GpuOffer& offer, const std::map<std::string, std::string>& taken) {
  for (auto& pool : offer.pools) {
    for (auto& unit : pool.units) {
      if (!unit.deviceNodes.empty() || taken.contains(unit.uuid)) continue;
      unit.withheld = "no CDI specification names it, since its device nodes are not known";
      offer.problems.push_back((unit.profile.empty() ? "GPU " : "MIG device ") + unit.uuid + ": " +
                               unit.withheld);
    }
  }
}

CdiSpec gpuCdiSpec(const GpuOffer& offer, const std::map<std::string, std::string>& taken) {
  CdiSpec spec{kGpuCdiKind, {}, offer.shared};
  std::set<std::string> all;
  // A GPU that was lost may have left its index to another one: each name once.
  std::set<std::string> given;
  const auto add = [&](const std::string& name, const std::vector<std::string>& nodes) {
    if (!taken.contains(name) && given.insert(name).second) spec.devices.push_back({name, nodes});
  };
  for (const auto& pool : offer.pools) {
    for (const auto& unit : pool.units) {
      all.insert(unit.deviceNodes.begin(), unit.deviceNodes.end());
      add(unit.uuid, unit.deviceNodes);
      if (unit.profile.empty()) add(unit.index, unit.deviceNodes);
    }
  }
  add("all", {all.begin(), all.end()});
  return spec;
}

}  // namespace railhead::advertise
