#include "src/tune/grid.h"

#include "src/base/text.h"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace railhead::tune {
namespace {

std::string namesOf(const Space& space) {
  std::vector<std::string> names;
  for (const Knob& knob : space.knobs) names.push_back(knob.name);
  return names.empty() ? "none" : join(names, ", ");
}

Result<Knob> narrowed(const Space& space, const KnobChoice& choice) {
  const Knob* whole = space.find(choice.name);
  if (whole == nullptr) {
    return Error(ErrorCode::kInvalidArgument,
                 "there is no knob " + inQuotes(choice.name) + " here; allowed: " + namesOf(space));
  }
  Knob knob = *whole;
  if (choice.values.empty()) return knob;
  for (const std::string& value : choice.values) {
    if (std::find(knob.values.begin(), knob.values.end(), value) != knob.values.end()) continue;
    return Error(ErrorCode::kInvalidArgument,
                 choice.name + " is " + inQuotes(value) + "; allowed: " + join(knob.values, ", "));
  }
  knob.values = choice.values;
  return knob;
}

}  // namespace

Result<KnobChoice> parseKnobChoice(std::string_view text) {
  const auto equals = text.find('=');
  KnobChoice choice{std::string(text.substr(0, equals)), {}};
  bool whole = isSettingWord(choice.name);
  if (equals != std::string_view::npos) {
    for (const auto value : split(text.substr(equals + 1), ',')) {
      choice.values.emplace_back(value);
      whole = whole && isSettingWord(value);
    }
    whole = whole && !choice.values.empty();
  }
  if (!whole) {
    return Error(ErrorCode::kInvalidArgument,
                 "knob " + inQuotes(text) + "; allowed: NAME, or NAME=VALUE,VALUE");
  }
  return choice;
}

Result<Space> narrowed(const Space& space, std::span<const KnobChoice> knobs) {
  Space out{{}, space.products, space.orders, space.reaches};
  for (const KnobChoice& choice : knobs) {
    if (out.find(choice.name) != nullptr)
      return Error(ErrorCode::kInvalidArgument, "knob " + choice.name + " is named twice");
    RAILHEAD_TRY_ASSIGN(Knob knob, narrowed(space, choice));
    out.knobs.push_back(std::move(knob));
  }
  for (const Knob& knob : out.knobs) {
    for (const Need& need : knob.needs) {
      if (out.find(need.knob) != nullptr) continue;
      return Error(ErrorCode::kInvalidArgument, "knob " + knob.name + " needs " + need.knob,
                   "name both");
    }
  }
  return out;
}

Result<Grid> measureGrid(const Space& space, std::span<const Size> sizes, Bench& bench,
                         int repetitions, const GridHooks& hooks) {
  RAILHEAD_TRY_ASSIGN(const auto environments, space.all(Layer::kProcess, kMaxGrid));
  RAILHEAD_TRY_ASSIGN(const auto choices,
                      space.all(Layer::kPerSize, kMaxGrid / environments.size()));
  Grid grid{{sizes.begin(), sizes.end()}, {}};
  for (const Setting& environment : environments) {
    for (const Setting& choice : choices) {
      if (hooks.stopped && hooks.stopped())
        return Error(ErrorCode::kUnavailable,
                     "interrupted after " + std::to_string(grid.entries.size()) + " settings");
      const Setting setting = environment.merged(choice);
      if (!space.isLegal(setting)) continue;
      RAILHEAD_TRY_ASSIGN(auto measured, bench.measure(setting, sizes, repetitions));
      RAILHEAD_TRY(checkMeasurement(measured, sizes.size(), repetitions));
      grid.entries.push_back({setting, std::move(measured)});
      if (hooks.progress) hooks.progress(grid.entries.size(), environments.size() * choices.size());
    }
  }
  return grid;
}

std::string encode(const Grid& grid, std::string_view about) {
  using Json = nlohmann::ordered_json;
  Json json{{"format", "railhead-grid 1"}, {"simulated", false}, {"about", about}};
  json["sizes"] = Json::array();
  for (const Size& size : grid.sizes) {
    Json one{{"operation", size.operation}, {"bytes", size.bytes}};
    if (size.overlapped) one["overlapped"] = true;
    json["sizes"].push_back(std::move(one));
  }
  std::string out = json.dump();
  out.pop_back();
  out += ",\n \"settings\": [";
  for (const Grid::Entry& entry : grid.entries) {
    Json line{{"setting", entry.setting.text()}};
    if (entry.measurement.outcome == Outcome::kMeasured) {
      line["seconds"] = entry.measurement.seconds;
    } else {
      line["outcome"] = outcomeName(entry.measurement.outcome);
      line["detail"] = entry.measurement.detail;
    }
    out += (&entry == grid.entries.data() ? "\n  " : ",\n  ") +
           line.dump(-1, ' ', false, Json::error_handler_t::replace);
  }
  return out + "\n ]}\n";
}

}  // namespace railhead::tune
