#include "src/bench/collectives/compare.h"

#include "src/base/statistics.h"
#include "src/bench/json_fields.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include <nlohmann/json.hpp>

namespace railhead::bench {
namespace {

constexpr double kSignificant = 0.01;
constexpr std::size_t kFewestToCompare = 8;

double medianOf(std::vector<double> samples) {
  if (samples.empty()) return 0;
  std::sort(samples.begin(), samples.end());
  return quantile(samples, 0.5);
}

// Holm: the smallest p times n, the next times n - 1, ..., never falling.
void correct(std::vector<ComparedLine>& lines) {
  std::vector<std::size_t> order(lines.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](auto a, auto b) { return lines[a].p < lines[b].p; });
  double least = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const double corrected = lines[order[i]].p * static_cast<double>(order.size() - i);
    least = std::max(least, std::min(1.0, corrected));
    lines[order[i]].p = least;
  }
}

}  // namespace

std::string_view changeName(Change change) {
  switch (change) {
    case Change::kSame:
      return "same";
    case Change::kFaster:
      return "faster";
    case Change::kSlower:
      return "slower";
    case Change::kUndecided:
      return "undecided";
  }
  return "same";
}

double mannWhitney(std::span<const double> a, std::span<const double> b) {
  if (a.empty() || b.empty()) return 1;
  std::vector<std::pair<double, bool>> all;  // value, of a
  for (const double x : a) all.emplace_back(x, true);
  for (const double x : b) all.emplace_back(x, false);
  std::sort(all.begin(), all.end());
  const double n1 = static_cast<double>(a.size());
  const double n2 = static_cast<double>(b.size());
  const double n = n1 + n2;
  double rankSum = 0;  // of a; equal values share their mean rank
  double ties = 0;
  for (std::size_t i = 0; i < all.size();) {
    std::size_t end = i;
    while (end < all.size() && all[end].first == all[i].first) ++end;
    const double meanRank = static_cast<double>(i + 1 + end) / 2;
    const double t = static_cast<double>(end - i);
    ties += t * t * t - t;
    for (; i < end; ++i) rankSum += all[i].second ? meanRank : 0;
  }
  const double u = rankSum - n1 * (n1 + 1) / 2;
  const double variance = n1 * n2 / 12 * ((n + 1) - ties / (n * (n - 1)));
  if (!(variance > 0)) return 1;
  const double distance = std::max(0.0, std::fabs(u - n1 * n2 / 2) - 0.5);
  return std::erfc(distance / std::sqrt(variance) / std::sqrt(2.0));
}

Comparison compareSweeps(const SweepSummary& before, const SweepSummary& after, double threshold) {
  Comparison out;
  std::map<std::string, const SweepSummary::Line*> old;
  for (const auto& line : before.lines) old[line.key] = &line;
  for (const auto& line : after.lines) {
    const auto found = old.find(line.key);
    if (found == old.end()) {
      out.missing.push_back(line.key);
      continue;
    }
    const SweepSummary::Line& was = *found->second;
    ComparedLine compared{line.key, medianOf(was.samples), medianOf(line.samples), 1,
                          1,        Change::kSame};
    if (compared.beforeUs > 0) compared.ratio = compared.afterUs / compared.beforeUs;
    if (std::min(was.samples.size(), line.samples.size()) < kFewestToCompare) {
      compared.change = Change::kUndecided;
    } else {
      compared.p = mannWhitney(was.samples, line.samples);
    }
    out.lines.push_back(std::move(compared));
    old.erase(found);
  }
  for (const auto& [key, line] : old) out.missing.push_back(key);
  correct(out.lines);
  for (auto& line : out.lines) {
    if (line.change == Change::kUndecided || line.p >= kSignificant) continue;
    if (line.ratio > 1 + threshold) line.change = Change::kSlower;
    if (line.ratio < 1 - threshold) line.change = Change::kFaster;
    out.slower += line.change == Change::kSlower ? 1 : 0;
    out.faster += line.change == Change::kFaster ? 1 : 0;
  }
  return out;
}

std::string toJson(const Comparison& comparison) {
  Json lines = Json::array();
  for (const auto& line : comparison.lines) {
    lines.push_back({{"line", line.key},
                     {"before_us", line.beforeUs},
                     {"after_us", line.afterUs},
                     {"ratio", line.ratio},
                     {"p", line.p},
                     {"change", changeName(line.change)}});
  }
  return dumped({{"schema", "railhead.bench.compare/1"},
                 {"lines", lines},
                 {"missing", comparison.missing},
                 {"slower", comparison.slower},
                 {"faster", comparison.faster}},
                2);
}

}  // namespace railhead::bench
