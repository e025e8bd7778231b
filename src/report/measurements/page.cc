#include "src/report/measurements/page.h"

#include "src/report/html/page_template.h"
#include "src/report/measurements/assets.h"
#include "src/report/measurements/train_runs.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <optional>

#include <nlohmann/json.hpp>

namespace railhead::report {
namespace {

using OrderedJson = nlohmann::ordered_json;

constexpr const char* kSchema = "railhead.measurements/1";
constexpr std::size_t kMostActions = 12;

std::string_view toneName(PageTone tone) {
  return tone == PageTone::kGood ? "good" : tone == PageTone::kOpen ? "open" : "bad";
}

struct PathCeiling {
  double gbps = 0;
  std::string explanation;
  std::string file;  // "" when the user told it
};

// The lowest that a rank of the run has: the slowest one sets the pace.
std::optional<PathCeiling> ceilingOfRun(const OrderedJson& document) {
  std::optional<PathCeiling> out;
  for (const auto& rank : document.at("ranks")) {
    const auto& gbps = rank.at("ceiling_gbps");
    if (gbps.is_null() || (out && gbps.get<double>() >= out->gbps)) continue;
    out = PathCeiling{gbps.get<double>(), rank.at("ceiling_explanation").get<std::string>(), {}};
  }
  return out;
}

std::optional<PathCeiling> ceilingOfRails(const OrderedJson& document) {
  const auto& ceiling = document.at("all_rails").at("ceiling");
  if (ceiling.is_null()) return std::nullopt;
  return PathCeiling{
      ceiling.at("gbps").get<double>(), ceiling.at("explanation").get<std::string>(), {}};
}

std::optional<PathCeiling> ceilingOf(const Measurements& measurements) {
  if (measurements.ceilingGbps > 0) {
    return PathCeiling{measurements.ceilingGbps, "given with --ceiling", {}};
  }
  for (const auto kind : {MeasurementKind::kVerify, MeasurementKind::kVerbs}) {
    for (const auto& file : measurements.files) {
      if (file.kind != kind) continue;
      const OrderedJson document = OrderedJson::parse(file.json);
      auto found =
          kind == MeasurementKind::kVerify ? ceilingOfRun(document) : ceilingOfRails(document);
      if (!found || found->gbps <= 0) continue;
      found->file = file.file;
      return found;
    }
  }
  return std::nullopt;
}

OrderedJson ceilingJson(const std::optional<PathCeiling>& ceiling) {
  if (!ceiling) return nullptr;
  return {{"gbps", ceiling->gbps}, {"explanation", ceiling->explanation}, {"file", ceiling->file}};
}

OrderedJson statementJson(const Statement& statement) {
  return {{"tone", toneName(statement.tone)},
          {"about", statement.about},
          {"file", statement.file},
          {"headline", statement.headline},
          {"sentence", statement.sentence}};
}

// A count that a file wrote as any number.
OrderedJson countJson(double value) {
  constexpr double kExact = 9e15;
  if (value > kExact || value != std::floor(value)) return value;
  return static_cast<std::uint64_t>(value);
}

OrderedJson realOrNull(const std::optional<double>& value) {
  return value ? OrderedJson(*value) : OrderedJson(nullptr);
}

OrderedJson runsJson(const std::optional<RunsCompared>& runs) {
  if (!runs) return nullptr;
  OrderedJson out = {{"first", runs->first},
                     {"second", runs->second},
                     {"steps", runs->steps},
                     {"difference", nullptr},
                     {"scaling", nullptr}};
  if (const auto& found = runs->difference) {
    out["difference"] = {
        {"step", countJson(found->step)},
        {"equal_until", found->equalUntil ? countJson(*found->equalUntil) : OrderedJson(nullptr)},
        {"first", realOrNull(found->first)},
        {"second", realOrNull(found->second)}};
  }
  if (const auto& scaling = runs->scaling) {
    out["scaling"] = {{"fewer_ranks", countJson(scaling->fewerRanks)},
                      {"more_ranks", countJson(scaling->moreRanks)},
                      {"fewer_tokens_per_second", scaling->fewerTokensPerSecond},
                      {"more_tokens_per_second", scaling->moreTokensPerSecond},
                      {"efficiency", scaling->efficiency}};
  }
  return out;
}

OrderedJson dataOf(const Measurements& measurements, const std::vector<Statement>& statements) {
  OrderedJson json = {{"schema", kSchema}, {"tool_version", measurements.toolVersion}};
  json["statements"] = OrderedJson::array();
  for (const auto& statement : statements) json["statements"].push_back(statementJson(statement));
  auto actions = actionsOf(statements);
  json["actions_left_out"] = actions.size() - std::min(actions.size(), kMostActions);
  if (actions.size() > kMostActions) actions.resize(kMostActions);
  json["actions"] = actions;
  json["ceiling"] = ceilingJson(ceilingOf(measurements));
  json["comparison"] = measurements.comparison.empty()
                           ? OrderedJson(nullptr)
                           : OrderedJson::parse(measurements.comparison);
  json["runs"] = runsJson(comparedRuns(measurements));
  json["files"] = OrderedJson::array();
  for (const auto& file : measurements.files) {
    json["files"].push_back({{"file", file.file},
                             {"kind", kindName(file.kind)},
                             {"content", OrderedJson::parse(file.json)}});
  }
  return json;
}

std::string dumped(const OrderedJson& json) {
  return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
}

std::string fallbackText(const std::vector<Statement>& statements) {
  std::string out;
  for (const auto& one : statements) {
    out += one.about + (one.file.empty() ? "" : " (" + one.file + ")") + ": " + one.headline +
           ": " + one.sentence + "\n";
  }
  for (const auto& action : actionsOf(statements)) out += "What to do: " + action + "\n";
  return out + "Charts and tables need JavaScript; every figure is in the files.\n";
}

std::string_view ownAsset(std::string_view name) {
  for (const auto& file : measurementAssets()) {
    if (file.name == name) return file.content;
  }
  std::abort();
}

std::string styles() {
  return std::string(pageAsset("page.css")) + std::string(ownAsset("uPlot.min.css")) + "\n" +
         std::string(ownAsset("measurements.css"));
}

// uPlot's licence asks to stand wherever the code does.
std::string scripts() {
  std::string all = "/*!\nuPlot\n\n" + std::string(ownAsset("LICENSE")) + "\n*/\n";
  all += ownAsset("uPlot.iife.min.js");
  all += "\n";
  for (const auto* name : {"dom.js", "format.js", "figures.js", "frame.js"}) all += pageAsset(name);
  for (const auto& file : measurementAssets()) {
    if (file.name.ends_with(".js") && !file.name.starts_with("uPlot")) all += file.content;
  }
  return all;
}

}  // namespace

std::string toJson(const Measurements& measurements) {
  return dumped(dataOf(measurements, statementsOf(measurements)));
}

std::string toHtml(const Measurements& measurements) {
  const auto statements = statementsOf(measurements);
  const Statement first = statements.empty() ? Statement{} : statements.front();
  return filledPage({.title = first.headline + " · Railhead report",
                     .tone = first.tone,
                     .headline = first.headline,
                     .sentence = first.sentence,
                     .fallback = fallbackText(statements),
                     .json = dumped(dataOf(measurements, statements)),
                     .style = styles(),
                     .script = scripts()});
}

}  // namespace railhead::report
