// Summaries of repeated measurements. Pure functions.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace railhead {

struct Summary {
  std::size_t count = 0;
  double minimum = 0;
  double median = 0;
  double p90 = 0;
  double p99 = 0;
  double p999 = 0;
  double maximum = 0;
  double mean = 0;
  double deviation = 0;  // sample standard deviation; 0 for fewer than two
  double low95 = 0;      // 95 % confidence interval of the mean (Student's t)
  double high95 = 0;
  // Values further than 1.5 interquartile ranges outside the quartiles, the farthest first, at most
  // kMaxOutliers of them. They are counted in everything above: shown, never removed.
  std::size_t outlierCount = 0;
  std::vector<double> outliers;

  static constexpr std::size_t kMaxOutliers = 16;
};

// All zeros for no samples. Samples must be finite.
Summary summarize(std::span<const double> samples);

// Linear interpolation between the two nearest ranks; `sorted` ascending and not empty, share 0..1.
double quantile(std::span<const double> sorted, double share);

}  // namespace railhead
