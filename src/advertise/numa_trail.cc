#include "src/advertise/numa_trail.h"

#include <chrono>
#include <utility>

namespace railhead::advertise {
namespace {

constexpr std::chrono::seconds kMoment{1};

}  // namespace

void NumaTrail::took(const std::string& resource, std::set<int> nodes) {
  const std::lock_guard lock(mutex_);
  steps_[resource] = {std::move(nodes), clock_.now()};
}

std::set<int> NumaTrail::near(const std::string& resource) const {
  const std::lock_guard lock(mutex_);
  std::set<int> nodes;
  for (const auto& [other, step] : steps_) {
    if (other != resource && clock_.now() - step.at <= kMoment)
      nodes.insert(step.nodes.begin(), step.nodes.end());
  }
  return nodes;
}

}  // namespace railhead::advertise
