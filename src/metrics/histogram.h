// How long something took, counted in buckets.
#pragma once

#include <cstdint>
#include <mutex>
#include <vector>

namespace railhead::metrics {

struct HistogramValue {
  std::vector<double> bounds;         // upper ones, ascending; one more bucket has none
  std::vector<std::uint64_t> counts;  // of each bucket alone, bounds.size() + 1 of them
  double sum = 0;
};

// Thread-safe.
class Histogram {
 public:
  explicit Histogram(std::vector<double> bounds);  // ascending
  void observe(double value);
  HistogramValue value() const;

 private:
  mutable std::mutex mutex_;
  HistogramValue value_;
};

}  // namespace railhead::metrics
