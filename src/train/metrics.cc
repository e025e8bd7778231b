#include "src/train/metrics.h"

#include "src/base/text.h"
#include "src/train/json_fields.h"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace railhead::train {
namespace {

constexpr std::size_t kMaxMetricsLine = 64 << 10;
constexpr std::size_t kMaxFacts = 64;
constexpr std::size_t kCheckpointsKept = 64;
constexpr std::size_t kMaxFactText = 256;

std::optional<double> realOf(const Json& object, const char* name) {
  double value = 0;
  const Json* member = json::member(object, name);
  if (member == nullptr || !take(*member, value)) return std::nullopt;
  return value;
}

std::optional<std::uint64_t> numberOf(const Json& object, const char* name) {
  std::uint64_t value = 0;
  const Json* member = json::member(object, name);
  if (member == nullptr || !take(*member, value)) return std::nullopt;
  return value;
}

std::string wordOf(const Json& object, const char* name) {
  std::string value;
  const Json* member = json::member(object, name);
  return member != nullptr && take(*member, value) ? value : std::string();
}

std::optional<MetricsLine> stepOf(const Json& json) {
  MetricsLine out;
  out.step.loss = realOf(json, "loss");
  out.step.tokens = numberOf(json, "tokens");
  out.step.seconds = realOf(json, "seconds");
  if (const Json* split = json::member(json, "split"); split != nullptr) {
    out.step.split = {realOf(*split, "compute"), realOf(*split, "exposed"),
                      realOf(*split, "hidden"), realOf(*split, "data")};
  }
  return out;
}

std::optional<MetricsLine> factsOf(const Json& json) {
  const Json* facts = json::member(json, "facts");
  if (facts == nullptr || !isObject(*facts)) return std::nullopt;
  MetricsLine out;
  out.kind = MetricsLine::Kind::kFacts;
  for (const auto& [name, value] : membersOf(*facts)) {
    std::string text;
    if (out.facts.size() == kMaxFacts || name.size() > kMaxFactText) break;
    if (take(*value, text) && text.size() <= kMaxFactText) out.facts[name] = text;
  }
  return out;
}

std::optional<MetricsLine> eventOf(const Json& json, const std::string& event) {
  if (event == "facts") return factsOf(json);
  MetricsLine out;
  if (event == "checkpoint") {
    out.kind = MetricsLine::Kind::kCheckpoint;
    out.path = wordOf(json, "path");
    return out;
  }
  if (event != "resumed") return std::nullopt;
  out.kind = MetricsLine::Kind::kResumed;
  out.attempt = numberOf(json, "attempt").value_or(0);
  return out;
}

}  // namespace

std::optional<MetricsLine> parseMetricsLine(std::string_view line) {
  line = trim(line);
  if (line.size() > kMaxMetricsLine || !line.starts_with('{')) return std::nullopt;
  const auto parsed = json::parseObject(line, "metrics");
  if (!parsed.has_value() || wordOf(*parsed, "schema") != kMetricsSchema) return std::nullopt;
  const Json& json = *parsed;
  const std::string event = wordOf(json, "event");
  auto out = event.empty() ? stepOf(json) : eventOf(json, event);
  if (!out || out->kind == MetricsLine::Kind::kFacts) return out;
  const auto step = numberOf(json, "step");
  const std::uint64_t least = out->kind == MetricsLine::Kind::kStep ? 1 : 0;
  if (!step || *step < least) return std::nullopt;
  out->step.step = *step;
  return out;
}

bool isBrokenMetrics(std::string_view line) {
  line = trim(line);
  if (!line.starts_with('{') || line.find(kMetricsSchema) == std::string_view::npos ||
      parseMetricsLine(line).has_value())
    return false;
  // Events that a newer trainer may know are none of ours.
  const auto parsed = json::parseObject(line.substr(0, kMaxMetricsLine), "metrics");
  return !parsed.has_value() || wordOf(*parsed, "event").empty();
}

std::string resumedLine(std::uint64_t attempt, std::uint64_t step) {
  const Json line = {
      {"schema", kMetricsSchema}, {"event", "resumed"}, {"attempt", attempt}, {"step", step}};
  return "\n" + json::dump(line) + "\n";
}

void StepSeries::dropAfter(std::uint64_t step) {
  const auto first = std::find_if(steps_.begin(), steps_.end(),
                                  [&](const StepLine& one) { return one.step > step; });
  lost_ += static_cast<std::uint64_t>(steps_.end() - first);
  steps_.erase(first, steps_.end());
  std::erase_if(checkpoints_, [&](const ToldCheckpoint& one) { return one.step > step; });
}

void StepSeries::add(const MetricsLine& line) {
  switch (line.kind) {
    case MetricsLine::Kind::kFacts:
      for (const auto& [name, value] : line.facts) facts_[name] = value;
      break;
    case MetricsLine::Kind::kResumed:
      dropAfter(line.step.step);
      break;
    case MetricsLine::Kind::kCheckpoint:
      std::erase_if(checkpoints_,
                    [&](const ToldCheckpoint& one) { return one.step >= line.step.step; });
      checkpoints_.push_back({line.step.step, line.path});
      if (checkpoints_.size() > kCheckpointsKept) checkpoints_.erase(checkpoints_.begin());
      break;
    case MetricsLine::Kind::kStep:
      if (line.step.step <= lastStep()) dropAfter(line.step.step - 1);
      steps_.push_back(line.step);
      break;
  }
}

std::optional<ToldCheckpoint> StepSeries::newestCheckpoint() const {
  if (checkpoints_.empty()) return std::nullopt;
  return checkpoints_.back();
}

bool StepSeries::has(const MetricsLine& line) const {
  if (line.kind == MetricsLine::Kind::kCheckpoint) {
    return !checkpoints_.empty() && line.step.step <= checkpoints_.back().step;
  }
  if (line.kind != MetricsLine::Kind::kStep) return false;
  const auto found =
      std::lower_bound(steps_.begin(), steps_.end(), line.step.step,
                       [](const StepLine& one, std::uint64_t step) { return one.step < step; });
  return found != steps_.end() && *found == line.step;
}

std::uint64_t StepSeries::tokens() const {
  std::uint64_t sum = 0;
  for (const auto& step : steps_) sum += step.tokens.value_or(0);
  return sum;
}

double StepSeries::seconds() const {
  double sum = 0;
  for (const auto& step : steps_) sum += step.seconds.value_or(0);
  return sum;
}

StepSeries seriesOf(std::string_view text) {
  StepSeries out;
  for (const auto line : split(text, '\n')) {
    if (const auto read = parseMetricsLine(line)) out.add(*read);
  }
  return out;
}

}  // namespace railhead::train
