#include "src/tune/objective.h"

#include "src/base/statistics.h"
#include "src/base/text.h"
#include "src/tune/trial.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <utility>

namespace railhead::tune {
namespace {

constexpr std::array<std::pair<ObjectiveKind, std::string_view>, 4> kObjectives{
    {{ObjectiveKind::kBandwidth, "bandwidth"},
     {ObjectiveKind::kLatency, "latency"},
     {ObjectiveKind::kHistogram, "histogram"},
     {ObjectiveKind::kOverlapped, "overlapped"}}};

bool countsFor(ObjectiveKind kind, const Size& size) {
  if (kind == ObjectiveKind::kBandwidth) return size.bytes >= Objective::kLargeBytes;
  if (kind == ObjectiveKind::kLatency) return size.bytes <= Objective::kSmallBytes;
  return true;
}

// A table has one row for a size: it is tuned for one of the two.
Result<void> checkSeries(ObjectiveKind kind, const std::vector<WeightedSize>& sizes) {
  const bool overlapped = kind == ObjectiveKind::kHistogram ? sizes[0].size.overlapped
                                                            : kind == ObjectiveKind::kOverlapped;
  for (const WeightedSize& one : sizes) {
    if (one.size.overlapped == overlapped) continue;
    return Error(ErrorCode::kInvalidArgument,
                 "the objective " + std::string(objectiveName(kind)) + " with a size " +
                     (overlapped ? "not " : "") +
                     "overlapped with compute; allowed: all of one kind");
  }
  return {};
}

std::string describe(const Size& size) {
  return size.operation + " of " + std::to_string(size.bytes) + " bytes";
}

}  // namespace

bool Gain::isWorse(double tolerance) const { return pairs > 1 && high95 < -std::log1p(tolerance); }

Gain Gain::then(const Gain& other) const {
  Gain both{std::max(pairs, other.pairs), mean + other.mean, 0, 0};
  // Independent errors add as squares.
  const double margin = std::hypot(high95 - mean, other.high95 - other.mean);
  both.low95 = both.mean - margin;
  both.high95 = both.mean + margin;
  return both;
}

double Gain::factor() const { return std::exp(mean); }
double Gain::lowFactor() const { return std::exp(low95); }
double Gain::highFactor() const { return std::exp(high95); }

// Yuen's interval of the trimmed mean: the margin that the middle values would have, widened by
// what the values cut off would add if they lay where the middle ends.
Gain gainOf(std::span<const double> logRatios) {
  std::vector<double> sorted(logRatios.begin(), logRatios.end());
  std::sort(sorted.begin(), sorted.end());
  const std::size_t count = sorted.size();
  const std::size_t cut = count / 5;
  const auto middle = std::span<const double>(sorted).subspan(cut, count - 2 * cut);
  const Summary trimmed = summarize(middle);
  Gain gain{count, trimmed.mean, trimmed.low95, trimmed.high95};
  if (cut == 0 || trimmed.deviation == 0) return gain;
  const std::size_t kept = middle.size();
  const double least = sorted[cut];
  const double most = sorted[count - cut - 1];
  for (double& value : sorted) value = std::clamp(value, least, most);
  const double spread = summarize(sorted).deviation * std::sqrt(static_cast<double>(count - 1));
  const double keptSpread = trimmed.deviation * std::sqrt(static_cast<double>(kept - 1));
  const double margin = (trimmed.high95 - trimmed.mean) * spread / keptSpread;
  gain.low95 = gain.mean - margin;
  gain.high95 = gain.mean + margin;
  return gain;
}

std::string_view objectiveName(ObjectiveKind kind) {
  for (const auto& [one, name] : kObjectives) {
    if (one == kind) return name;
  }
  return "bandwidth";
}

Result<ObjectiveKind> parseObjective(std::string_view name) {
  for (const auto& [kind, known] : kObjectives) {
    if (known == name) return kind;
  }
  return Error(
      ErrorCode::kInvalidArgument,
      "objective is " + inQuotes(name) + "; allowed: bandwidth, latency, histogram, overlapped");
}

Result<Objective> Objective::over(ObjectiveKind kind, const std::vector<Size>& sizes) {
  std::vector<WeightedSize> weighted;
  weighted.reserve(sizes.size());
  for (const Size& size : sizes) weighted.push_back({size, countsFor(kind, size) ? 1.0 : 0.0});
  return checked(kind, std::move(weighted));
}

Result<Objective> Objective::histogram(std::vector<WeightedSize> sizes) {
  return checked(ObjectiveKind::kHistogram, std::move(sizes));
}

Result<Objective> Objective::checked(ObjectiveKind kind, std::vector<WeightedSize> sizes) {
  if (sizes.empty() || sizes.size() > kMaxSizes) {
    return Error(ErrorCode::kInvalidArgument, "an objective of " + std::to_string(sizes.size()) +
                                                  " sizes; allowed: 1 to " +
                                                  std::to_string(kMaxSizes));
  }
  std::sort(sizes.begin(), sizes.end(),
            [](const WeightedSize& a, const WeightedSize& b) { return a.size < b.size; });
  RAILHEAD_TRY(checkSeries(kind, sizes));
  double total = 0;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    if (!std::isfinite(sizes[i].weight) || sizes[i].weight < 0) {
      return Error(ErrorCode::kInvalidArgument, "the weight of " + describe(sizes[i].size) +
                                                    " is " + std::to_string(sizes[i].weight) +
                                                    "; allowed: a number from 0");
    }
    if (i > 0 && sizes[i].size == sizes[i - 1].size) {
      return Error(ErrorCode::kInvalidArgument, describe(sizes[i].size) + " is given twice");
    }
    total += sizes[i].weight;
  }
  if (!(total > 0) || !std::isfinite(total)) {
    return Error(ErrorCode::kInvalidArgument,
                 "no size counts for the objective " + std::string(objectiveName(kind)),
                 "bandwidth wants sizes from 1 MiB, latency up to 64 KiB");
  }
  return Objective(kind, sizes);
}

Objective::Objective(ObjectiveKind kind, const std::vector<WeightedSize>& sizes) : kind_(kind) {
  double total = 0;
  for (const WeightedSize& one : sizes) total += one.weight;
  for (const WeightedSize& one : sizes) {
    sizes_.push_back(one.size);
    weights_.push_back(one.weight / total);
  }
}

double Objective::logRatio(std::span<const double> incumbent,
                           std::span<const double> candidate) const {
  double sum = 0;
  double before = 0;
  double after = 0;
  for (std::size_t i = 0; i < weights_.size(); ++i) {
    if (weights_[i] == 0) continue;
    sum += weights_[i] * std::log(incumbent[i] / candidate[i]);
    before += weights_[i] * incumbent[i];
    after += weights_[i] * candidate[i];
  }
  return kind_ == ObjectiveKind::kHistogram ? std::log(before / after) : sum;
}

}  // namespace railhead::tune
