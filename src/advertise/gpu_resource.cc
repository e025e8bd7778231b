#include "src/advertise/gpu_resource.h"

#include "src/base/text.h"

#include <algorithm>
#include <set>
#include <tuple>
#include <utility>

namespace railhead::advertise {
namespace {

constexpr const char* kVisible = "NVIDIA_VISIBLE_DEVICES";
// Inside the container; what NVIDIA's container toolkit looks for.
constexpr const char* kVolumeFolder = "/var/run/nvidia-container-devices";
constexpr const char* kCdiAnnotation = "cdi.k8s.io/railhead_";
constexpr int kSameGpu = 100'000;  // two MIG devices of one GPU

// "GPU-...::3" is a replica of "GPU-...".
std::string_view unitOf(std::string_view id) { return id.substr(0, id.find("::")); }

}  // namespace

GpuResource::GpuResource(std::string resource, std::string devDirectory, NumaTrail* trail)
    : resource_(std::move(resource)), devDirectory_(std::move(devDirectory)), trail_(trail) {}

void GpuResource::update(const GpuResourceConfig& config, GpuPool pool,
                         std::vector<std::string> shared, GpuAffinity affinity) {
  const std::lock_guard lock(mutex_);
  config_ = config;
  units_ = std::move(pool.units);
  shared_ = std::move(shared);
  affinity_ = std::move(affinity);
}

void GpuResource::setUnhealthy(std::map<std::string, std::string> reasons) {
  const std::lock_guard lock(mutex_);
  unhealthy_ = std::move(reasons);
}

std::string GpuResource::reasonOf(const GpuUnit& unit) const {
  const std::lock_guard lock(mutex_);
  for (const auto& uuid : {unit.uuid, unit.gpu}) {
    if (const auto found = unhealthy_.find(uuid); found != unhealthy_.end()) return found->second;
  }
  return unit.withheld;
}

std::vector<GpuUnit> GpuResource::units() const {
  const std::lock_guard lock(mutex_);
  return units_;
}

unsigned GpuResource::replicas() const {
  const std::lock_guard lock(mutex_);
  return config_.replicas;
}

std::vector<kube::Device> GpuResource::devices() const {
  std::vector<kube::Device> devices;
  const unsigned count = replicas();
  for (const auto& unit : units()) {
    kube::Device device{unit.uuid, reasonOf(unit).empty(), {}};
    if (unit.numaNode) device.numaNodes = {*unit.numaNode};
    if (count <= 1) {
      devices.push_back(std::move(device));
      continue;
    }
    for (unsigned i = 0; i < count; ++i) {
      device.id = unit.uuid + "::" + std::to_string(i);
      devices.push_back(device);
    }
  }
  return devices;
}

const GpuUnit* GpuResource::find(std::string_view id) const {
  const auto found = std::find_if(units_.begin(), units_.end(),
                                  [&](const auto& unit) { return unit.uuid == unitOf(id); });
  return found == units_.end() ? nullptr : &*found;
}

Result<kube::AllocateAnswer> GpuResource::allocate(const std::vector<std::string>& ids) {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> uuids;
  std::set<std::string> nodes;
  std::set<int> numa;
  for (const auto& id : ids) {
    const GpuUnit* unit = find(id);
    if (unit == nullptr) {
      return Error(ErrorCode::kNotFound, resource_ + ": device " + inQuotes(id) +
                                             " is not one of the " + std::to_string(units_.size()) +
                                             " GPUs or MIG devices of this node");
    }
    if (!unit->withheld.empty())
      return Error(ErrorCode::kUnavailable,
                   resource_ + ": device " + inQuotes(id) + ": " + unit->withheld);
    if (std::find(uuids.begin(), uuids.end(), unit->uuid) != uuids.end()) continue;
    uuids.push_back(unit->uuid);
    if (unit->numaNode) numa.insert(*unit->numaNode);
    nodes.insert(unit->deviceNodes.begin(), unit->deviceNodes.end());
  }
  kube::AllocateAnswer answer;
  switch (config_.strategy) {
    case GpuListStrategy::kEnv:
      answer.env[kVisible] = join(uuids, ",");
      break;
    case GpuListStrategy::kVolume:
      answer.env[kVisible] = kVolumeFolder;
      for (const auto& uuid : uuids)
        answer.mounts.push_back(
            {std::string(kVolumeFolder) + "/" + uuid, devDirectory_ + "/null", false});
      break;
    case GpuListStrategy::kCdi:
      answer.env[kVisible] = "void";
      for (const auto& uuid : uuids)
        answer.cdiDevices.push_back(std::string(kGpuCdiKind) + "=" + uuid);
      answer.annotations[kCdiAnnotation + resource_.substr(resource_.find('/') + 1)] =
          join(answer.cdiDevices, ",");
      break;
  }
  if (config_.deviceNodes && config_.strategy != GpuListStrategy::kCdi) {
    nodes.insert(shared_.begin(), shared_.end());
    for (const auto& node : nodes) answer.deviceNodes.push_back({node, node, "rw"});
  }
  if (trail_ != nullptr) trail_->took(resource_, std::move(numa));
  return answer;
}

int GpuResource::affinity(const GpuUnit& a, const GpuUnit& b) const {
  if (a.gpu == b.gpu) return kSameGpu;
  const auto found = affinity_.find(std::minmax(a.gpu, b.gpu));
  return found == affinity_.end() ? 0 : found->second;
}

// Grows a choice from every possible first device and takes the best one: for the few GPUs of a
// node that finds what a person would choose.
std::vector<std::string> GpuResource::together(const std::vector<std::string>& available,
                                               const std::vector<std::string>& must,
                                               std::size_t size) const {
  std::vector<const GpuUnit*> open;
  std::vector<const GpuUnit*> fixed;
  for (const auto& unit : units_) {
    const auto in = [&](const auto& list) {
      return std::find(list.begin(), list.end(), unit.uuid) != list.end();
    };
    if (in(must)) {
      fixed.push_back(&unit);
    } else if (in(available)) {
      open.push_back(&unit);
    }
  }
  const auto sum = [&](const GpuUnit* one, const std::vector<const GpuUnit*>& others) {
    int points = 0;
    for (const auto* other : others) points += other == one ? 0 : affinity(*one, *other);
    return points;
  };
  using Rank = std::pair<int, int>;  // points within, points torn apart (negative)
  Rank best{-1, 0};
  std::vector<const GpuUnit*> chosen = fixed;
  const auto grow = [&](std::vector<const GpuUnit*> set) {
    std::vector<const GpuUnit*> left;
    for (const auto* unit : open) {
      if (std::find(set.begin(), set.end(), unit) == set.end()) left.push_back(unit);
    }
    while (set.size() < size && !left.empty()) {
      const auto next = std::max_element(left.begin(), left.end(), [&](auto* a, auto* b) {
        return Rank(sum(a, set), -sum(a, left)) < Rank(sum(b, set), -sum(b, left));
      });
      set.push_back(*next);
      left.erase(next);
    }
    Rank rank{0, 0};
    for (const auto* unit : set) {
      rank.first += sum(unit, set);
      rank.second -= sum(unit, left);
    }
    if (best < rank) std::tie(best, chosen) = std::pair(rank, set);
  };
  if (!fixed.empty() || size == 0) {
    grow(fixed);
  } else {
    for (const auto* unit : open) grow({unit});
  }
  std::vector<std::string> ids;
  for (const auto* unit : chosen) ids.push_back(unit->uuid);
  return ids;
}

std::vector<std::string> GpuResource::spread(const std::vector<std::string>& available,
                                             const std::vector<std::string>& must,
                                             std::size_t size) const {
  std::map<const GpuUnit*, int> used;
  std::map<const GpuUnit*, std::vector<std::string>> open;
  for (const auto& id : must) ++used[find(id)];
  for (const auto& id : available) {
    const bool taken = std::find(must.begin(), must.end(), id) != must.end();
    if (const auto* unit = find(id); unit != nullptr && !taken) open[unit].push_back(id);
  }
  std::vector<std::string> chosen = must;
  while (chosen.size() < size && !open.empty()) {
    // Units stand in one vector, so their addresses are in order of index.
    const auto next = std::min_element(open.begin(), open.end(), [&](const auto& a, const auto& b) {
      return std::tuple(used[a.first], -static_cast<int>(a.second.size()), a.first) <
             std::tuple(used[b.first], -static_cast<int>(b.second.size()), b.first);
    });
    ++used[next->first];
    chosen.push_back(next->second.front());
    next->second.erase(next->second.begin());
    if (next->second.empty()) open.erase(next);
  }
  return chosen;
}

Result<std::vector<std::string>> GpuResource::preferred(const std::vector<std::string>& available,
                                                        const std::vector<std::string>& must,
                                                        std::size_t size) {
  const std::lock_guard lock(mutex_);
  if (config_.replicas > 1) return spread(available, must, size);
  return together(size == 1 ? nearest(available) : available, must, size);
}

// All of them when none is near.
std::vector<std::string> GpuResource::nearest(const std::vector<std::string>& available) const {
  const auto near = trail_ != nullptr ? trail_->near(resource_) : std::set<int>();
  std::vector<std::string> found;
  for (const auto& id : available) {
    const GpuUnit* unit = find(id);
    if (unit != nullptr && unit->numaNode && near.contains(*unit->numaNode)) found.push_back(id);
  }
  return found.empty() ? available : found;
}

}  // namespace railhead::advertise
