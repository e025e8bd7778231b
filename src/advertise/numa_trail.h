// Where the devices sit that were handed out a moment ago. Kubelet asks for the resources of one
// container one after the other, in any order, and tells no plugin of the others; what it took in
// the last second most likely belongs to the same one. A hint for choices where kubelet's own
// topology manager is off, and no more. Thread-safe.
#pragma once

#include "src/os/clock.h"

#include <map>
#include <mutex>
#include <set>
#include <string>

namespace railhead::advertise {

class NumaTrail {
 public:
  explicit NumaTrail(os::Clock& clock) : clock_(clock) {}

  void took(const std::string& resource, std::set<int> nodes);
  // The NUMA nodes of what other resources than this one gave last; empty: nothing is known.
  std::set<int> near(const std::string& resource) const;

 private:
  struct Step {
    std::set<int> nodes;
    os::Clock::TimePoint at;
  };
  os::Clock& clock_;
  mutable std::mutex mutex_;
  std::map<std::string, Step> steps_;  // the last of each resource
};

}  // namespace railhead::advertise
