#include "apps/railhead/tune_output.h"

#include "src/base/text.h"
#include "src/base/units.h"
#include "src/report/terminal/style.h"
#include "src/report/terminal/table.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ostream>
#include <vector>

#include <nlohmann/json.hpp>
#include <unistd.h>

namespace railhead::app {
namespace {

using Json = nlohmann::ordered_json;
constexpr std::size_t kEffectsShown = 8;

std::string percent(double factor) {
  char text[32];
  std::snprintf(text, sizeof text, "%+.1f", (factor - 1) * 100);
  return text;
}

Json gainJson(const tune::Gain& gain) {
  return {{"pairs", gain.pairs},
          {"factor", gain.factor()},
          {"low95", gain.lowFactor()},
          {"high95", gain.highFactor()},
          {"better", gain.isBetter()}};
}

Json fabricJson(const tune::Fingerprint& fabric) {
  Json out{{"gpus", fabric.gpus},   {"nics", fabric.nics},   {"links", fabric.links},
           {"mtu", fabric.mtu},     {"ranks", fabric.ranks}, {"nodes", fabric.nodes},
           {"nccl_least", nullptr}, {"nccl_most", nullptr}};
  if (fabric.nccl) {
    out["nccl_least"] = fabric.nccl->least.text();
    out["nccl_most"] = fabric.nccl->most.text();
  }
  return out;
}

Json environmentJson(const tune::Setting& environment) {
  Json out = Json::array();
  for (const auto& [name, value] : environment.values())
    out.push_back({{"name", name}, {"value", value}});
  return out;
}

Json sizeJson(const tune::Size& size, const tune::Setting& setting,
              const tune::SizeResult& result) {
  return {{"operation", size.operation},
          {"bytes", size.bytes},
          {"setting", setting.text()},
          {"default_seconds", result.defaultSeconds},
          {"tuned_seconds", result.tunedSeconds},
          {"gain", gainJson(result.gain)}};
}

Json tableJson(const std::vector<tune::TableRow>& rows) {
  Json out = Json::array();
  for (const auto& row : rows) out.push_back(tune::rowText(row));
  return out;
}

std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

report::TerminalStyle style() {
  return report::detectStyle(STDOUT_FILENO, report::processEnvironment);
}

struct SizeRow {
  tune::Size size;
  tune::Setting setting;
  tune::SizeResult result;
};

void printSizes(std::ostream& out, const std::vector<SizeRow>& rows) {
  using report::Align;
  report::Table table({{"operation"},
                       {"size", Align::kRight},
                       {"default", Align::kRight},
                       {"tuned", Align::kRight},
                       {"gain"},
                       {"setting"}});
  for (const auto& row : rows) {
    const bool timed = row.result.defaultSeconds > 0;
    table.addRow({row.size.operation, formatBytes(row.size.bytes),
                  timed ? formatSeconds(row.result.defaultSeconds) : "",
                  timed ? formatSeconds(row.result.tunedSeconds) : "", gainText(row.result.gain),
                  row.setting.text()});
  }
  table.print(out, style());
}

std::string versionsText(const tune::Fingerprint& fabric) {
  if (!fabric.nccl) return "host backend";
  const auto least = fabric.nccl->least.text();
  const auto most = fabric.nccl->most.text();
  return "NCCL " + (least == most ? least : least + " to " + most);
}

void printFabric(std::ostream& out, const tune::Fingerprint& fabric) {
  out << fabric.ranks << " ranks on " << fabric.nodes
      << (fabric.nodes == 1 ? " node, " : " nodes, ") << versionsText(fabric);
  if (!fabric.gpus.empty()) out << ", GPUs " << join(fabric.gpus, ", ");
  if (!fabric.nics.empty()) out << ", NICs " << join(fabric.nics, ", ");
  out << ", MTU " << fabric.mtu << '\n';
}

// What did most, in either direction, first.
std::vector<tune::Effect> sorted(std::vector<tune::Effect> effects) {
  std::stable_sort(effects.begin(), effects.end(), [](const auto& a, const auto& b) {
    return std::abs(a.gain.mean) > std::abs(b.gain.mean);
  });
  return effects;
}

void printFindings(std::ostream& out, const tune::SearchResult& result) {
  const auto effects = sorted(result.effects);
  for (std::size_t i = 0; i < std::min(effects.size(), kEffectsShown); ++i) {
    out << (i == 0 ? "what single knobs did:\n" : "") << "  " << effects[i].step.text() << ": "
        << gainText(effects[i].gain) << '\n';
  }
  for (const auto& one : result.condemned) {
    out << "never again: " << one.setting.text() << ": " << tune::outcomeName(one.outcome)
        << (one.detail.empty() ? "" : ": " + one.detail) << '\n';
  }
}

// Of the fresh run; where that left the default alone, as it was when the work was chosen.
double defaultPair(const SizeRow& row, const bench::OverlapWork& work) {
  return row.result.defaultSeconds > 0 ? row.result.defaultSeconds : work.pairSeconds;
}

Json overlapJson(const TuneReport& report, const std::vector<SizeRow>& rows) {
  Json out = Json::array();
  for (const auto& row : rows) {
    const auto found = report.work.find(row.size);
    if (found == report.work.end()) continue;
    const auto hidden = [&](double seconds) {
      return seconds > 0 ? Json(bench::hiddenShare(found->second, seconds)) : Json(nullptr);
    };
    out.push_back({{"operation", row.size.operation},
                   {"bytes", row.size.bytes},
                   {"call_seconds", found->second.callSeconds},
                   {"compute_seconds", found->second.computeSeconds},
                   {"pair_seconds", found->second.pairSeconds},
                   {"default_hidden", hidden(defaultPair(row, found->second))},
                   {"tuned_hidden", hidden(row.result.tunedSeconds)}});
  }
  return out;
}

std::string hiddenText(const bench::OverlapWork& work, double seconds) {
  char text[32];
  std::snprintf(text, sizeof text, "%.0f %%", bench::hiddenShare(work, seconds) * 100);
  return seconds > 0 ? text : "";
}

void printOverlap(std::ostream& out, const TuneReport& report, const std::vector<SizeRow>& rows) {
  if (report.work.empty()) return;
  using railhead::report::Align;
  railhead::report::Table table({{"beside compute"},
                                 {"size", Align::kRight},
                                 {"call alone", Align::kRight},
                                 {"compute alone", Align::kRight},
                                 {"default hides", Align::kRight},
                                 {"tuned hides", Align::kRight}});
  for (const auto& row : rows) {
    const auto found = report.work.find(row.size);
    if (found == report.work.end()) continue;
    table.addRow({row.size.operation, formatBytes(row.size.bytes),
                  formatSeconds(found->second.callSeconds),
                  formatSeconds(found->second.computeSeconds),
                  hiddenText(found->second, defaultPair(row, found->second)),
                  hiddenText(found->second, row.result.tunedSeconds)});
  }
  table.print(out, style());
}

std::vector<SizeRow> sizeRows(const TuneReport& report) {
  std::vector<SizeRow> rows;
  for (std::size_t i = 0; i < report.objective.sizes().size(); ++i) {
    rows.push_back({report.objective.sizes()[i], report.result.plan.at(i),
                    i < report.result.sizes.size() ? report.result.sizes[i] : tune::SizeResult()});
  }
  return rows;
}

}  // namespace

std::string fabricText(const tune::GangFacts& facts) {
  const auto& fabric = facts.fabric;
  return facts.backend + (fabric.nccl ? " " + fabric.nccl->least.text() : "") + "; GPUs " +
         join(fabric.gpus, ", ") + "; NICs " + join(fabric.nics, ", ") + "; links " +
         join(fabric.links, ", ") + "; MTU " + std::to_string(fabric.mtu) + "; " +
         std::to_string(fabric.ranks) + " ranks on " + std::to_string(fabric.nodes) + " nodes";
}

std::string gainText(const tune::Gain& gain) {
  if (gain.pairs == 0) return "none";
  return percent(gain.factor()) + " % (" + percent(gain.lowFactor()) + " to " +
         percent(gain.highFactor()) + ")";
}

std::string tuneProgressLine(const tune::Progress& progress) {
  std::string out = std::string(tune::stageName(progress.stage)) + ": " +
                    std::to_string(progress.trials) + " trials, best so far " +
                    (progress.gain.pairs == 0 ? "the default" : gainText(progress.gain));
  if (progress.secondsLeft) out += ", " + formatSeconds(*progress.secondsLeft) + " left";
  return out;
}

std::string toJson(const TuneReport& report) {
  const auto& result = report.result;
  const auto rows = sizeRows(report);
  Json sizes = Json::array();
  for (const auto& row : rows) sizes.push_back(sizeJson(row.size, row.setting, row.result));
  Json condemned = Json::array();
  for (const auto& one : result.condemned) {
    condemned.push_back({{"setting", one.setting.text()},
                         {"outcome", tune::outcomeName(one.outcome)},
                         {"detail", one.detail}});
  }
  Json effects = Json::array();
  for (const auto& one : result.effects) {
    effects.push_back(
        {{"knob", one.knob}, {"step", one.step.text()}, {"gain", gainJson(one.gain)}});
  }
  const bool kept = report.profile.has_value();
  return dump({{"schema", "railhead.tune/1"},
               {"end", tune::searchEndName(result.end)},
               {"validated", result.validated},
               {"better", result.isBetter()},
               {"objective", tune::objectiveName(report.objective.kind())},
               {"gain", gainJson(result.gain)},
               {"trials", result.trials},
               {"seconds", result.seconds},
               {"seed", report.seed},
               {"backend", report.facts.backend},
               {"no_choices", report.facts.noChoices},
               {"fabric", fabricJson(report.facts.fabric)},
               {"environment", environmentJson(result.plan.environment)},
               {"table", tableJson(kept ? report.profile->table : std::vector<tune::TableRow>())},
               {"sizes", sizes},
               {"overlap", overlapJson(report, rows)},
               {"condemned", condemned},
               {"effects", effects},
               {"hash", kept ? Json(tune::profileHash(*report.profile)) : Json(nullptr)},
               {"profile", report.profilePath.empty() ? Json(nullptr) : Json(report.profilePath)},
               {"records", report.recordsPath.empty() ? Json(nullptr) : Json(report.recordsPath)}});
}

void printTune(std::ostream& out, const TuneReport& report) {
  const auto& result = report.result;
  printFabric(out, report.facts.fabric);
  if (!report.facts.noChoices.empty())
    out << "no choices by size: " << report.facts.noChoices << '\n';
  const auto rows = sizeRows(report);
  printSizes(out, rows);
  printOverlap(out, report, rows);
  printFindings(out, result);
  if (!result.plan.environment.isDefault())
    out << "environment: " << result.plan.environment.text() << '\n';
  out << result.trials << " trials in " << formatSeconds(result.seconds) << ": ";
  if (!result.isSettled()) {
    out << "best so far " << gainText(result.gain)
        << ", an estimate: not validated by a fresh run, so no profile\n";
  } else if (result.isBetter()) {
    out << tune::objectiveName(report.objective.kind()) << " " << gainText(result.gain)
        << ", in a fresh run\n";
  } else {
    out << (result.end == tune::SearchEnd::kBudget ? "in that budget nothing" : "nothing")
        << " beats the default"
        << (result.validated        ? ""
            : result.freshRunFailed ? ": what seemed to failed in the fresh run"
                                    : ", so nothing was left for a fresh run")
        << '\n';
  }
  if (!report.profilePath.empty()) out << "profile: " << report.profilePath << '\n';
}

std::string profileJson(const tune::Profile& profile) {
  Json sizes = Json::array();
  for (const auto& one : profile.sizes)
    sizes.push_back(sizeJson(one.size, one.setting, one.result));
  return dump({{"schema", "railhead.tune.profile/1"},
               {"hash", tune::profileHash(profile)},
               {"objective", tune::objectiveName(profile.objective)},
               {"gain", gainJson(profile.gain)},
               {"trials", profile.trials},
               {"seconds", profile.seconds},
               {"seed", profile.seed},
               {"fabric", fabricJson(profile.fabric)},
               {"environment", environmentJson(profile.environment)},
               {"table", tableJson(profile.table)},
               {"sizes", sizes}});
}

void printProfile(std::ostream& out, const tune::Profile& profile) {
  printFabric(out, profile.fabric);
  std::vector<SizeRow> rows;
  for (const auto& one : profile.sizes) rows.push_back({one.size, one.setting, one.result});
  printSizes(out, rows);
  out << "environment: " << profile.environment.text() << '\n';
  for (const auto& row : profile.table) out << "table: " << tune::rowText(row) << '\n';
  out << tune::objectiveName(profile.objective) << " " << gainText(profile.gain) << ", "
      << profile.trials << " trials in " << formatSeconds(profile.seconds) << ", seed "
      << profile.seed << "\nhash " << tune::profileHash(profile) << '\n';
}

}  // namespace railhead::app
