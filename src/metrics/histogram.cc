#include "src/metrics/histogram.h"

#include <algorithm>

namespace railhead::metrics {

Histogram::Histogram(std::vector<double> bounds) {
  value_.counts.resize(bounds.size() + 1);
  value_.bounds = std::move(bounds);
}

void Histogram::observe(double value) {
  const std::lock_guard lock(mutex_);
  const auto bucket = std::lower_bound(value_.bounds.begin(), value_.bounds.end(), value);
  ++value_.counts[static_cast<std::size_t>(bucket - value_.bounds.begin())];
  value_.sum += value;
}

HistogramValue Histogram::value() const {
  const std::lock_guard lock(mutex_);
  return value_;
}

}  // namespace railhead::metrics
