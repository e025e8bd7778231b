#include "tests/support/measured_grid.h"

#include <algorithm>
#include <string>

#include <nlohmann/json.hpp>

namespace railhead::testing_support {
namespace {

using Json = nlohmann::json;

Error badGrid(const std::string& what) { return {ErrorCode::kCorrupt, "grid: " + what}; }

Result<tune::Outcome> outcomeOf(const std::string& name) {
  for (const auto outcome : {tune::Outcome::kHung, tune::Outcome::kCrashed, tune::Outcome::kCorrupt,
                             tune::Outcome::kRefused, tune::Outcome::kNoRoom}) {
    if (tune::outcomeName(outcome) == name) return outcome;
  }
  return badGrid("no outcome is named " + name);
}

Result<tune::Measurement> measurementOf(const Json& entry, std::size_t sizes, std::size_t parts) {
  tune::Measurement out;
  if (entry.contains("outcome")) {
    RAILHEAD_TRY_ASSIGN(out.outcome, outcomeOf(entry["outcome"].get<std::string>()));
    return out;
  }
  out.seconds = entry.at("seconds").get<std::vector<std::vector<double>>>();
  const bool whole = out.seconds.size() == sizes &&
                     std::all_of(out.seconds.begin(), out.seconds.end(),
                                 [parts](const std::vector<double>& series) {
                                   return !series.empty() && series.size() % parts == 0 &&
                                          std::all_of(series.begin(), series.end(),
                                                      [](double seconds) { return seconds > 0; });
                                 });
  if (!whole) return badGrid("a setting has not every size and start");
  return out;
}

}  // namespace

Result<MeasuredGrid> MeasuredGrid::parse(std::string_view text, std::uint64_t seed) {
  MeasuredGrid grid;
  grid.random_ = SplitMix(seed);
  try {
    const Json json = Json::parse(text);
    if (json.at("format") != "railhead-grid 1") return badGrid("another format");
    grid.simulated_ = json.at("simulated").get<bool>();
    grid.starts_ = json.value("starts", std::size_t{1});
    if (grid.starts_ == 0) return badGrid("starts is 0");
    for (const Json& size : json.at("sizes")) {
      grid.sizes_.push_back({size.at("operation").get<std::string>(),
                             size.at("bytes").get<std::uint64_t>(),
                             size.value("overlapped", false)});
    }
    for (const Json& entry : json.at("settings")) {
      RAILHEAD_TRY_ASSIGN(auto setting,
                          tune::Setting::parse(entry.at("setting").get<std::string>()));
      RAILHEAD_TRY_ASSIGN(auto measurement, measurementOf(entry, grid.sizes_.size(), grid.starts_));
      grid.settings_.emplace(std::move(setting), std::move(measurement));
    }
  } catch (const Json::exception& error) {
    return badGrid(error.what());
  }
  const auto base = grid.settings_.find(tune::Setting());
  if (base == grid.settings_.end() || base->second.outcome != tune::Outcome::kMeasured) {
    return badGrid("the default is not measured");
  }
  return grid;
}

void MeasuredGrid::startRanks(const tune::Setting& setting) {
  std::string environment;
  for (const auto& [knob, value] : setting.values()) {
    if (knob.starts_with("NCCL_")) environment += knob + "=" + value + " ";
  }
  if (running_ == environment) return;
  running_ = environment;
  start_ = random_.next() % starts_;
}

std::span<const double> MeasuredGrid::drawnFrom(const std::vector<double>& samples) const {
  const std::size_t each = samples.size() / starts_;
  return std::span(samples).subspan(start_ * each, each);
}

Result<tune::Measurement> MeasuredGrid::measure(const tune::Setting& setting,
                                                std::span<const tune::Size> sizes,
                                                int repetitions) {
  const auto found = settings_.find(setting);
  if (found == settings_.end()) {
    return tune::Measurement{tune::Outcome::kRefused, "not in the grid", {}};
  }
  if (found->second.outcome != tune::Outcome::kMeasured) return found->second;
  startRanks(setting);
  tune::Measurement out;
  for (const tune::Size& size : sizes) {
    const auto at = std::find(sizes_.begin(), sizes_.end(), size);
    if (at == sizes_.end()) {
      return tune::Measurement{tune::Outcome::kRefused, "size not in the grid", {}};
    }
    const auto samples =
        drawnFrom(found->second.seconds[static_cast<std::size_t>(at - sizes_.begin())]);
    auto& series = out.seconds.emplace_back();
    for (int i = 0; i < repetitions; ++i) {
      series.push_back(samples[random_.next() % samples.size()]);
    }
  }
  return out;
}

}  // namespace railhead::testing_support
