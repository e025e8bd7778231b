#include "src/base/statistics.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

namespace railhead {
namespace {

// Two-sided 95 % points of Student's t for 1..30 degrees of freedom, then the normal limit's
// expansion, which is within 0.1 % of the exact value.
double studentT95(std::size_t degrees) {
  constexpr std::array<double, 30> kTable{12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306,
                                          2.262,  2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
                                          2.110,  2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064,
                                          2.060,  2.056, 2.052, 2.048, 2.045, 2.042};
  if (degrees <= kTable.size()) return kTable[degrees - 1];
  constexpr double kNormal = 1.959964;
  return kNormal + (kNormal * kNormal * kNormal + kNormal) / (4 * static_cast<double>(degrees));
}

}  // namespace

double quantile(std::span<const double> sorted, double share) {
  const double rank = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(rank);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (rank - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

Summary summarize(std::span<const double> samples) {
  Summary out;
  out.count = samples.size();
  if (samples.empty()) return out;
  std::vector<double> sorted(samples.begin(), samples.end());
  std::sort(sorted.begin(), sorted.end());
  out.minimum = sorted.front();
  out.maximum = sorted.back();
  out.median = quantile(sorted, 0.5);
  out.p90 = quantile(sorted, 0.9);
  out.p99 = quantile(sorted, 0.99);
  out.p999 = quantile(sorted, 0.999);
  const auto count = static_cast<double>(sorted.size());
  out.mean = std::accumulate(sorted.begin(), sorted.end(), 0.0) / count;
  out.low95 = out.high95 = out.mean;
  if (sorted.size() > 1) {
    double squares = 0;
    for (const double value : sorted) squares += (value - out.mean) * (value - out.mean);
    out.deviation = std::sqrt(squares / (count - 1));
    const double margin = studentT95(sorted.size() - 1) * out.deviation / std::sqrt(count);
    out.low95 -= margin;
    out.high95 += margin;
  }
  const double low = quantile(sorted, 0.25);
  const double high = quantile(sorted, 0.75);
  const double reach = 1.5 * (high - low);
  for (const double value : sorted) {
    if (value < low - reach || value > high + reach) out.outliers.push_back(value);
  }
  out.outlierCount = out.outliers.size();
  std::sort(out.outliers.begin(), out.outliers.end(), [&](double a, double b) {
    return std::abs(a - out.median) > std::abs(b - out.median);
  });
  if (out.outliers.size() > Summary::kMaxOutliers) out.outliers.resize(Summary::kMaxOutliers);
  return out;
}

}  // namespace railhead
