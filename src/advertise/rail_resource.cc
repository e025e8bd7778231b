#include "src/advertise/rail_resource.h"

#include "src/base/text.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include <nlohmann/json.hpp>

namespace railhead::advertise {
namespace {

using Json = nlohmann::ordered_json;

std::vector<std::string> rdmaNames(const std::vector<const InventorySet*>& sets) {
  std::vector<std::string> names;
  for (const auto* set : sets) {
    for (const auto& rail : set->rails) {
      for (const auto& device : rail.rdma) names.push_back(device.name);
    }
  }
  return names;
}

// The form sriov-network-device-plugin gives: one object per PCI address.
Json infoOf(const InventoryRail& rail, const std::string& devDirectory) {
  Json info;
  info["generic"]["deviceID"] = rail.rail.vf.toString();
  for (const auto& device : rail.rdma) {
    if (device.uverbs.empty()) continue;
    info["rdma"]["rdma_cm"] = devDirectory + "/infiniband/rdma_cm";
    info["rdma"]["uverbs"] = devDirectory + "/infiniband/" + device.uverbs;
  }
  return info;
}

// The device nodes of a set's RDMA devices; none with soft-RoCE.
std::vector<std::string> rdmaNodes(const InventorySet& set, const std::string& devDirectory) {
  std::vector<std::string> nodes;
  for (const auto& rail : set.rails) {
    for (const auto& device : rail.rdma) {
      if (!device.uverbs.empty()) nodes.push_back(devDirectory + "/infiniband/" + device.uverbs);
    }
  }
  return nodes;
}

// A file uverbsN in the folder of RDMA device nodes.
bool isUverbs(std::string_view node, const std::string& devDirectory) {
  const std::string prefix = devDirectory + "/infiniband/uverbs";
  constexpr std::size_t kMostDigits = 6;
  if (!node.starts_with(prefix)) return false;
  const auto digits = node.substr(prefix.size());
  return !digits.empty() && digits.size() <= kMostDigits &&
         digits.find_first_not_of("0123456789") == std::string_view::npos;
}

bool misses(const InventorySet& set) {
  return std::any_of(set.rails.begin(), set.rails.end(),
                     [](const auto& rail) { return rail.away && rail.rdma.empty(); });
}

std::set<int> numaNodesOf(const InventorySet& set) {
  std::set<int> nodes;
  for (const auto& rail : set.rails) {
    if (rail.numaNode >= 0) nodes.insert(rail.numaNode);
  }
  return nodes;
}

// The settings themselves travel in the file and not as variables: so they lose against whatever
// the image or the pod sets.
void addProfile(const ProfileMount& profile, kube::AllocateAnswer& answer) {
  const std::string folder = profile.containerFolder + "/";
  answer.mounts.push_back({profile.containerFolder, profile.hostFolder, true});
  answer.env["NCCL_CONF_FILE"] = folder + profile.conf;
  answer.env["NCCL_TUNER_PLUGIN"] = folder + profile.tuner;
  answer.env["RAILHEAD_TUNER_TABLE"] = folder + profile.table;
}

// Which cage a set belongs to: its first rail's PF.
PciAddress cageOf(const InventorySet& set) {
  return set.rails.empty() ? PciAddress{} : set.rails.front().rail.pf;
}

}  // namespace

std::string pciDeviceVariable(const std::string& resource) {
  std::string name = "PCIDEVICE_";
  for (const char c : resource) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    name += !plain ? '_' : (c >= 'a' && c <= 'z') ? static_cast<char>(c - 'a' + 'A') : c;
  }
  return name;
}

RailResource::RailResource(RailResourceConfig config, std::string devDirectory, NumaTrail* trail,
                           SoftRoceQuestion softRoce, ProfileQuestion profile)
    : devDirectory_(std::move(devDirectory)),
      trail_(trail),
      softRoce_(std::move(softRoce)),
      profile_(std::move(profile)),
      config_(std::move(config)) {}

RailResourceConfig RailResource::config() const {
  const std::lock_guard lock(mutex_);
  return config_;
}

void RailResource::configure(RailResourceConfig config) {
  const std::lock_guard lock(mutex_);
  config_ = std::move(config);
}

void RailResource::update(Inventory inventory) {
  const std::lock_guard lock(mutex_);
  std::map<PciAddress, std::vector<discover::RdmaDevice>> known;
  for (auto& set : inventory_.sets) {
    for (auto& rail : set.rails) known[rail.rail.vf] = std::move(rail.rdma);
  }
  for (auto& set : inventory.sets) {
    for (auto& rail : set.rails) {
      const auto last = known.find(rail.rail.vf);
      if (rail.away && rail.rdma.empty() && last != known.end()) rail.rdma = last->second;
    }
  }
  inventory_ = std::move(inventory);
}

Inventory RailResource::inventory() const {
  const std::lock_guard lock(mutex_);
  return inventory_;
}

std::vector<kube::Device> RailResource::devices() const {
  const std::lock_guard lock(mutex_);
  std::vector<kube::Device> devices;
  for (const auto& set : inventory_.sets) {
    kube::Device device{set.id, set.unhealthy.empty(), {}};
    const auto numa = config_.topology ? numaNodesOf(set) : std::set<int>();
    device.numaNodes.assign(numa.begin(), numa.end());
    devices.push_back(std::move(device));
  }
  return devices;
}

CdiSpec RailResource::cdiSpec() const {
  const std::lock_guard lock(mutex_);
  CdiSpec spec{config_.name, {}, {devDirectory_ + "/infiniband/rdma_cm"}};
  if (!config_.cdi) return spec;
  for (const auto& set : inventory_.sets) {
    CdiDevice device{cdiDeviceName(set.id), rdmaNodes(set, devDirectory_)};
    const auto earlier = remembered_.find(device.name);
    if (misses(set) && earlier != remembered_.end()) {
      std::set<std::string> nodes(device.deviceNodes.begin(), device.deviceNodes.end());
      nodes.insert(earlier->second.begin(), earlier->second.end());
      device.deviceNodes.assign(nodes.begin(), nodes.end());
    }
    spec.devices.push_back(std::move(device));
  }
  return spec;
}

void RailResource::withholdUnspecified(const CdiSpec& written, const std::string& reason) {
  const CdiSpec wanted = cdiSpec();
  const std::lock_guard lock(mutex_);
  for (const auto& device : wanted.devices) {
    const bool stands =
        std::any_of(written.devices.begin(), written.devices.end(), [&](const CdiDevice& other) {
          return other.name == device.name && other.deviceNodes == device.deviceNodes;
        });
    if (stands || device.deviceNodes.empty()) continue;
    for (auto& set : inventory_.sets) {
      if (cdiDeviceName(set.id) == device.name && set.unhealthy.empty()) set.unhealthy = reason;
    }
  }
}

void RailResource::remember(const CdiNodes& nodes) {
  const std::lock_guard lock(mutex_);
  remembered_.clear();
  for (const auto& [name, given] : nodes) {
    for (const auto& node : given) {
      if (isUverbs(node, devDirectory_)) remembered_[name].push_back(node);
    }
  }
}

Result<kube::AllocateAnswer> RailResource::allocate(const std::vector<std::string>& ids) {
  const bool softRoce = softRoce_ && softRoce_(config().name);
  const std::lock_guard lock(mutex_);
  // kubelet hands ids over in any order. The pod's networks take its devices in this one.
  std::vector<std::string> ordered = ids;
  std::sort(ordered.begin(), ordered.end());
  std::vector<const InventorySet*> sets;
  for (const auto& id : ordered) {
    const InventorySet* set = inventory_.find(id);
    if (set == nullptr) {
      return Error(ErrorCode::kNotFound,
                   config_.name + ": device " + inQuotes(id) + " is not one of the " +
                       std::to_string(inventory_.sets.size()) + " rail sets of this node");
    }
    sets.push_back(set);
  }
  kube::AllocateAnswer answer;
  std::vector<std::string> addresses;
  Json info = Json::object();
  std::set<std::string> nodes;
  bool folder = false;
  for (const auto* set : sets) {
    for (const auto& rail : set->rails) {
      addresses.push_back(rail.rail.vf.toString());
      info[addresses.back()] = infoOf(rail, devDirectory_);
    }
    const auto own = rdmaNodes(*set, devDirectory_);
    folder = folder || (softRoce && own.empty());
    if (config_.cdi && !own.empty()) {
      answer.cdiDevices.push_back(config_.name + "=" + cdiDeviceName(set->id));
    } else {
      nodes.insert(own.begin(), own.end());
    }
  }
  if (!nodes.empty()) nodes.insert(devDirectory_ + "/infiniband/rdma_cm");
  // A soft-RoCE device has no node yet. Runtimes take a folder for what is in it when they make the
  // container, which is after the attachment.
  if (folder) nodes = {devDirectory_ + "/infiniband"};
  const std::string variable = pciDeviceVariable(config_.name);
  answer.env[variable] = join(addresses, ",");
  answer.env[variable + "_INFO"] = info.dump();
  const auto hcas = rdmaNames(sets);
  if (!hcas.empty()) answer.env["NCCL_IB_HCA"] = "=" + join(hcas, ",");  // '=': these names exactly
  for (const auto& node : nodes) answer.deviceNodes.push_back({node, node, "rw"});
  const auto profile = config_.profile && profile_ ? profile_() : std::nullopt;
  if (profile) addProfile(*profile, answer);
  if (trail_ != nullptr) {
    std::set<int> numa;
    for (const auto* set : sets) numa.merge(numaNodesOf(*set));
    trail_->took(config_.name, std::move(numa));
  }
  return answer;
}

Result<std::vector<std::string>> RailResource::preferred(const std::vector<std::string>& available,
                                                         const std::vector<std::string>& must,
                                                         std::size_t size) {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> chosen = must;
  std::map<PciAddress, int> perCage;
  std::vector<const InventorySet*> open;
  for (const auto& set : inventory_.sets) {
    const bool taken = std::find(must.begin(), must.end(), set.id) != must.end();
    if (taken) ++perCage[cageOf(set)];
    if (!taken && std::find(available.begin(), available.end(), set.id) != available.end())
      open.push_back(&set);
  }
  const auto near = trail_ != nullptr ? trail_->near(config_.name) : std::set<int>();
  const auto isFar = [&](const InventorySet& set) {
    const auto nodes = numaNodesOf(set);
    return std::none_of(nodes.begin(), nodes.end(), [&](int node) { return near.contains(node); });
  };
  while (chosen.size() < size && !open.empty()) {
    const auto best = std::min_element(open.begin(), open.end(), [&](const auto* a, const auto* b) {
      return std::tuple(perCage[cageOf(*a)], isFar(*a), a->index) <
             std::tuple(perCage[cageOf(*b)], isFar(*b), b->index);
    });
    chosen.push_back((*best)->id);
    ++perCage[cageOf(**best)];
    open.erase(best);
  }
  return chosen;
}

}  // namespace railhead::advertise
