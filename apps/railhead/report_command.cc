#include "apps/railhead/report_command.h"

#include "apps/railhead/train_document.h"
#include "apps/railhead/train_run.h"
#include "apps/railhead/user_files.h"
#include "src/base/units.h"
#include "src/bench/collectives/compare.h"
#include "src/report/measurements/page.h"

#include <filesystem>
#include <memory>
#include <optional>
#include <ostream>

#include <CLI/CLI.hpp>

namespace railhead::app {
namespace {

constexpr std::size_t kMaxFiles = 16;
constexpr double kThreshold = 0.02;  // as bench compare has it

struct Settings {
  std::vector<std::string> files;
  std::string out;
  std::string ceiling;
  bool json = false;
};

using Sweeps = std::vector<bench::SweepSummary>;

// The folder of the run that is meant: by its folder, by the manifest in it, or by its name below
// runs/. nullopt: it is some other file.
std::optional<std::string> runFolderOf(const std::string& path) {
  const std::filesystem::path given(path);
  std::error_code ignored;
  if (std::filesystem::is_directory(given, ignored)) return path;
  if (given.filename() == "manifest.json") {
    return given.has_parent_path() ? given.parent_path().string() : ".";
  }
  if (std::filesystem::exists(given, ignored) || !runNamed(path, "runs").has_value()) return {};
  return path;
}

Result<report::Measurement> loadRun(const std::string& folder) {
  const auto named = runNamed(folder, "runs");
  if (!named.has_value()) {
    std::error_code ignored;
    if (!std::filesystem::is_directory(folder, ignored)) return named.error();
    return Error(ErrorCode::kInvalidArgument,
                 folder + ": a folder without manifest.json is no training run's",
                 "give a run's folder, or files; railhead train list shows the runs there are");
  }
  const auto run = readRun(*named);
  if (!run.has_value()) {
    Error error = run.error();
    // A file that is not what it must be is bad input here, as every other one.
    if (error.code == ErrorCode::kCorrupt) error.code = ErrorCode::kInvalidArgument;
    return error;
  }
  const std::string shown = folder.substr(0, folder.find_last_not_of('/') + 1);
  return report::readMeasurement(shown, trainDocument(run->manifest, run->series, run->state));
}

Result<report::Measurement> load(const std::string& path, Sweeps& sweeps) {
  if (const auto folder = runFolderOf(path)) return loadRun(*folder);
  RAILHEAD_TRY_ASSIGN(const auto text, readResult(path));
  RAILHEAD_TRY_ASSIGN(auto measurement, report::readMeasurement(path, text));
  if (measurement.kind == report::MeasurementKind::kCollectives) {
    auto sweep = bench::parseSweep(text).addContext(path);
    // A field that the comparison alone reads: bad input as the others are.
    if (!sweep.has_value()) return Error(ErrorCode::kInvalidArgument, sweep.error().message);
    sweeps.push_back(std::move(*sweep));
  }
  return measurement;
}

Result<report::Measurements> gather(const Settings& settings) {
  if (settings.files.size() > kMaxFiles) {
    return Error(ErrorCode::kInvalidArgument, "report: " + std::to_string(settings.files.size()) +
                                                  " files; at most " + std::to_string(kMaxFiles) +
                                                  " are allowed");
  }
  report::Measurements out;
  out.toolVersion = RAILHEAD_VERSION;
  if (!settings.ceiling.empty()) {
    RAILHEAD_TRY_ASSIGN(const auto rate, BitRate::parse(settings.ceiling).addContext("--ceiling"));
    out.ceilingGbps = rate.gbps();
  }
  Sweeps sweeps;
  for (const auto& path : settings.files) {
    RAILHEAD_TRY_ASSIGN(auto measurement, load(path, sweeps));
    out.files.push_back(std::move(measurement));
  }
  if (sweeps.size() == 2) {
    out.comparison = bench::toJson(bench::compareSweeps(sweeps[0], sweeps[1], kThreshold));
  }
  return out;
}

// The page must not take the place of what it is made from.
Result<void> checkOutIsNew(const Settings& settings) {
  for (const auto& file : settings.files) {
    std::error_code ignored;
    if (std::filesystem::equivalent(file, settings.out, ignored))
      return Error(ErrorCode::kInvalidArgument, "--out " + settings.out + " is a file to report on",
                   "give the page another name");
  }
  return checkOut(settings.out);
}

void run(const Settings& settings, Context& context) {
  if (const auto out = checkOutIsNew(settings); !out.has_value()) return fail(context, out.error());
  const auto measurements = gather(settings);
  if (!measurements.has_value()) return fail(context, measurements.error());
  const auto written = writeResult(settings.out, report::toHtml(*measurements));
  if (!written.has_value()) return fail(context, written.error());
  if (settings.json) {
    context.out << report::toJson(*measurements);
    return;
  }
  for (const auto& one : report::statementsOf(*measurements)) {
    context.out << one.headline << ": " << one.sentence << '\n';
  }
  context.out << "report: " << settings.out << '\n';
}

}  // namespace

void addReportCommand(CLI::App& app, Context& context) {
  auto settings = std::make_shared<Settings>();
  auto* command =
      app.add_subcommand("report", "Put measurements on one page, the verdict on top in words");
  command->footer(
      "Example:\n  railhead report verify.json before.json after.json verbs.json --out "
      "report.html\n"
      "  railhead report runs/pair-0001 runs/pair-0002 --out report.html\n"
      "Takes the JSON of verify, also with --log, doctor, bench collectives, bench verbs and tune, "
      "and folders\nof training runs, in any number and order.\n"
      "Two sweeps of bench collectives are compared, the first as the one before; so are two "
      "training runs.\n"
      "The exit code is 0 when the page was written, whatever it says; 2: a file is none of "
      "these.");
  command
      ->add_option("files", settings->files,
                   "JSON of verify, doctor, bench or tune; a training run's folder")
      ->required();
  command->add_option("--out", settings->out, "the page")->required();
  command->add_option("--ceiling", settings->ceiling,
                      "what the path carries at most, like 196Gbit, where no file tells");
  command->add_flag("--json", settings->json, "print what the page shows as JSON");
  command->final_callback([settings, &context] { run(*settings, context); });
}

}  // namespace railhead::app
