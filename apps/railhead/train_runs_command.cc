#include "apps/railhead/train_runs_command.h"

#include "apps/railhead/train_document.h"
#include "apps/railhead/train_output.h"
#include "apps/railhead/train_run.h"
#include "apps/usage/values.h"
#include "src/os/clock.h"
#include "src/report/terminal/live_line.h"
#include "src/report/terminal/style.h"
#include "src/report/terminal/table.h"
#include "src/report/terminal/text_width.h"
#include "src/train/compare.h"

#include <cmath>
#include <cstdio>
#include <fstream>
#include <memory>
#include <optional>
#include <ostream>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace railhead::app {
namespace {

using Json = nlohmann::ordered_json;
constexpr std::chrono::milliseconds kLook{100};
constexpr std::size_t kFieldsShown = 20;

struct Settings {
  std::string runs = "runs";
  std::string run, other;
  int rank = 0;
  double seconds = 60;
  double within = 0;
  bool follow = false;
  bool json = false;
};

Result<std::unique_ptr<os::Filesystem>> filesHere() {
  RAILHEAD_TRY_ASSIGN(std::unique_ptr<os::Filesystem> out, os::RootedFilesystem::open("/"));
  return out;
}

// A row of the list.
struct Row {
  std::string run, folder;
  std::string state, reason, remedy;
  std::string started;
  std::size_t starts = 0;
  std::optional<std::uint64_t> step;  // absent: not known
  std::optional<double> loss;
};

// How far its files say that a run without an end came. What the manifest said stays where its
// metrics cannot be read; false: then nothing is known.
bool lookHowFar(os::Filesystem& files, const train::RunFolder& run, train::Manifest& manifest) {
  const auto newest = run.readNewestStep(0);
  std::optional<train::Totals> told;
  if (newest.has_value() && *newest) {
    told = manifest.metrics;
    told->steps = (*newest)->step;
    told->lastLoss = (*newest)->loss;
  }
  train::bringUpToDate(files, run, told, manifest);
  return newest.has_value() || !manifest.checkpoints.empty();
}

// What cannot be read is told with what to do; of its steps what the files beside it tell.
Row rowOf(os::Filesystem& files, train::ListedRun one) {
  Row out{.run = one.folder.id(), .folder = one.folder.path()};
  if (!one.manifest.has_value()) {
    const bool began = one.folder.holds(files) != train::Holds::kUnstarted;
    out.state = began ? "damaged" : "unstarted";
    out.reason = one.manifest.error().message;
    out.remedy = one.manifest.error().remedy;
    train::Manifest none;
    none.state = "running";
    if (!began || !lookHowFar(files, one.folder, none)) return out;
    out.step = none.metrics.steps;
    out.loss = none.metrics.lastLoss;
    return out;
  }
  auto& manifest = *one.manifest;
  out.state = stateOf(one.folder, manifest);
  // What a finished run came to stands in its manifest.
  if (manifest.state == "running") lookHowFar(files, one.folder, manifest);
  out.reason = manifest.reason;
  if (out.state == "killed") out.remedy = "railhead train resume " + out.folder;
  out.started = manifest.started;
  out.starts = manifest.attempts.size();
  out.step = manifest.metrics.steps;
  out.loss = manifest.metrics.lastLoss;
  return out;
}

template <typename T>
Json orNull(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json rowJson(const Row& row) {
  return {{"run", row.run},       {"folder", row.folder},     {"state", row.state},
          {"reason", row.reason}, {"remedy", row.remedy},     {"started", row.started},
          {"starts", row.starts}, {"step", orNull(row.step)}, {"loss", orNull(row.loss)}};
}

void printRows(std::ostream& out, const std::vector<Row>& rows) {
  using report::Align;
  report::Table table({{"run"},
                       {"state"},
                       {"started"},
                       {"starts", Align::kRight},
                       {"step", Align::kRight},
                       {"loss", Align::kRight}});
  for (const auto& row : rows) {
    char loss[32] = "";
    if (row.loss) std::snprintf(loss, sizeof loss, "%.4g", *row.loss);
    table.addRow({row.run, row.state, row.started, std::to_string(row.starts),
                  row.step ? std::to_string(*row.step) : "", loss});
  }
  table.print(out, report::detectStyle(STDOUT_FILENO, report::processEnvironment));
  for (const auto& row : rows) {
    if (row.state != "damaged" && row.state != "unstarted") continue;
    out << report::printable(row.run) << " is " << row.state << ": "
        << report::printable(row.reason) << '\n';
    if (!row.remedy.empty()) out << "  remedy: " << report::printable(row.remedy) << '\n';
  }
}

Result<void> list(const Settings& settings, Context& context) {
  RAILHEAD_TRY_ASSIGN(const auto files, filesHere());
  RAILHEAD_TRY_ASSIGN(const auto folder, usage::absolutePath(settings.runs).addContext("--runs"));
  RAILHEAD_TRY_ASSIGN(auto runs, train::listRuns(*files, folder).addContext("--runs"));
  std::vector<Row> rows;
  for (auto& one : runs) rows.push_back(rowOf(*files, std::move(one)));
  if (settings.json) {
    Json json = {{"schema", "railhead.train.list/1"}, {"runs", Json::array()}};
    for (const auto& row : rows) json["runs"].push_back(rowJson(row));
    context.out << json.dump(-1, ' ', false, Json::error_handler_t::replace) << '\n';
  } else if (rows.empty()) {
    context.out << "no runs in " << folder << '\n';
  } else {
    printRows(context.out, rows);
  }
  return {};
}

Result<void> logs(const Settings& settings, Context& context) {
  RAILHEAD_TRY_ASSIGN(const auto run, runNamed(settings.run, settings.runs));
  std::ifstream log(run.logFile(settings.rank), std::ios::binary);
  if (!log) {
    RAILHEAD_TRY_ASSIGN(const auto files, filesHere());
    const auto manifest = run.readManifest(*files);
    const int ranks = manifest.has_value() ? manifest->place.ranks : 0;
    return Error(ErrorCode::kNotFound,
                 run.path() + " has no log of rank " + std::to_string(settings.rank),
                 ranks > 0 ? "its ranks are 0 to " + std::to_string(ranks - 1) : "");
  }
  os::SystemClock clock;
  std::vector<char> chunk(1 << 16);
  for (;;) {
    log.read(chunk.data(), static_cast<std::streamsize>(chunk.size()));
    context.out.write(chunk.data(), log.gcount());
    if (log.gcount() > 0) continue;
    if (!settings.follow || !run.isLocked() || !context.out) return {};
    context.out.flush();
    log.clear();
    clock.sleepFor(kLook);
  }
}

// Tells, while a run is stopping, what is waited for, and on a terminal for how long already.
class StopProgress {
 public:
  StopProgress(Context& context, std::string what, double most)
      : context_(context),
        line_(context.err, progressStyle(context)),
        what_(std::move(what)),
        most_(most) {}

  void show(double seconds) {
    const auto whole = static_cast<long>(seconds);
    if (whole < kSilent || whole == told_) return;
    if (told_ == 0)
      context_.err << "waiting for " << what_ << ", at most " << most_ << " s" << std::endl;
    told_ = whole;
    line_.show("  " + std::to_string(whole) + " s");
  }
  void end() { line_.clear(); }

 private:
  static constexpr long kSilent = 1;  // seconds; most have stopped by then
  Context& context_;
  report::LiveLine line_;
  const std::string what_;
  const double most_;
  long told_ = 0;  // seconds
};

// The process that watches it, as its lock names it; empty: not known.
std::string watcherOf(os::Filesystem& files, const train::RunFolder& run) {
  const std::string text = files.readTrimmed(run.lockPath()).value_or("");
  const bool isNumber = text.find_first_not_of("0123456789") == std::string::npos;
  return isNumber && text.size() <= 10 ? text : std::string();
}

// What a run that was told to stop still has to do, as far as it can be seen from here.
std::string stopsWhen(const train::Manifest& manifest) {
  const std::string& on = manifest.place.on;
  if (!on.starts_with("kubernetes")) return "its ranks to end";
  return "its pods to end and be deleted, by the API server of " + on;
}

Error stillRuns(os::Filesystem& files, const train::RunFolder& run, const std::string& what,
                double seconds) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", seconds);
  const std::string pid = watcherOf(files, run);
  std::string remedy =
      "it has been told, and stops by itself once that is done; wait longer with --seconds";
  // The folder may be shared by machines.
  if (!pid.empty())
    remedy += ", or, on the machine that started it, have its watcher give up: kill -INT " + pid;
  return Error(ErrorCode::kDeadlineExceeded,
               run.path() + " still runs after " + text + " s: it waits for " + what, remedy);
}

Result<void> stop(const Settings& settings, Context& context) {
  RAILHEAD_TRY_ASSIGN(const auto files, filesHere());
  RAILHEAD_TRY_ASSIGN(const auto run, runNamed(settings.run, settings.runs));
  if (!run.isLocked()) {
    context.out << run.path() << " is not running\n";
    return {};
  }
  // Told, whatever its manifest looks like.
  RAILHEAD_TRY(train::appendText(run.stopFile(), ""));
  const std::string what = stopsWhen(run.readManifest(*files).value_or(train::Manifest()));
  os::SystemClock clock;
  StopProgress progress(context, what, settings.seconds);
  const auto begun = clock.now();
  while (run.isLocked()) {
    const double waited = std::chrono::duration<double>(clock.now() - begun).count();
    if (waited > settings.seconds) {
      progress.end();
      return stillRuns(*files, run, what, settings.seconds);
    }
    progress.show(waited);
    clock.sleepFor(kLook);
  }
  progress.end();
  RAILHEAD_TRY_ASSIGN(const auto manifest, run.readManifest(*files));
  printRun(context.out, run.path(), manifest);
  return {};
}

Json comparisonJson(const train::RunFolder& first, const train::RunFolder& second, double within,
                    const train::RunComparison& comparison) {
  const auto number = [](double value) {
    return std::isfinite(value) ? Json(value) : Json(nullptr);
  };
  Json out = {{"schema", "railhead.train.compare/1"},
              {"first", first.id()},
              {"second", second.id()},
              {"sameness", train::samenessName(comparison.sameness)},
              {"within", within},
              {"steps", comparison.steps},
              {"checkpoints", comparison.checkpoints},
              {"largest", number(comparison.largest)},
              {"difference", nullptr},
              {"scaling", nullptr},
              {"fields", Json::array()},
              {"notes", comparison.notes}};
  if (const auto& found = comparison.first) {
    out["difference"] = {{"step", found->step},
                         {"what", found->what},
                         {"detail", found->detail},
                         {"relative", number(found->relative)}};
  }
  if (const auto& scaling = comparison.scaling) {
    out["scaling"] = {{"fewer_ranks", scaling->fewerRanks},
                      {"more_ranks", scaling->moreRanks},
                      {"fewer_tokens_per_second", scaling->fewerTokensPerSecond},
                      {"more_tokens_per_second", scaling->moreTokensPerSecond},
                      {"efficiency", scaling->efficiency}};
  }
  for (const auto& field : comparison.fields) {
    out["fields"].push_back(
        {{"field", field.field}, {"first", field.first}, {"second", field.second}});
  }
  return out;
}

std::string orNothing(const std::string& text) { return text.empty() ? "nothing" : text; }

void printFields(std::ostream& out, const train::RunComparison& comparison) {
  if (comparison.fields.empty()) {
    if (comparison.first) out << "no field of the manifests explains it\n";
    return;
  }
  out << (comparison.first ? "what differs in the manifests, and may explain it:\n"
                           : "though the manifests differ:\n");
  for (std::size_t i = 0; i < comparison.fields.size() && i < kFieldsShown; ++i) {
    const auto& field = comparison.fields[i];
    out << "  " << field.field << ": " << orNothing(field.first) << " and "
        << orNothing(field.second) << '\n';
  }
  if (comparison.fields.size() > kFieldsShown)
    out << "  and " << comparison.fields.size() - kFieldsShown << " more (--json)\n";
}

void printScaling(std::ostream& out, const train::Scaling& scaling) {
  char text[160];
  std::snprintf(text, sizeof text,
                "%d ranks do %.3g times the tokens/s of %d: %.3g %% scaling efficiency\n",
                scaling.moreRanks, scaling.moreTokensPerSecond / scaling.fewerTokensPerSecond,
                scaling.fewerRanks, scaling.efficiency * 100);
  out << text;
}

void printComparison(std::ostream& out, const train::RunComparison& comparison) {
  using train::Sameness;
  char largest[32];
  std::snprintf(largest, sizeof largest, "%.3g", comparison.largest);
  const std::string over = " (" + std::to_string(comparison.steps) + " losses, " +
                           std::to_string(comparison.checkpoints) + " checkpoints)";
  switch (comparison.sameness) {
    case Sameness::kBitwise:
      out << "bitwise equal" << over << '\n';
      break;
    case Sameness::kWithin:
      out << "equal within " << largest << over << '\n';
      break;
    case Sameness::kDifferent:
      out << "different: the largest relative difference is "
          << (std::isfinite(comparison.largest) ? largest : "not to be measured") << over << '\n';
      break;
    case Sameness::kNothing:
      out << "nothing to compare: they have neither losses nor checkpoints of the same steps\n";
      break;
  }
  if (const auto& found = comparison.first) {
    out << "first at step " << found->step << ", " << found->what << ": " << found->detail << '\n';
  }
  if (comparison.scaling) printScaling(out, *comparison.scaling);
  printFields(out, comparison);
  for (const auto& note : comparison.notes) out << "note: " << note << '\n';
}

template <typename Action>
void run(Action action, const Settings& settings, Context& context) {
  const auto done = action(settings, context);
  if (!done.has_value()) fail(context, done.error());
}

Result<void> compare(const Settings& settings, Context& context) {
  RAILHEAD_TRY_ASSIGN(const auto first, runNamed(settings.run, settings.runs));
  RAILHEAD_TRY_ASSIGN(const auto second, runNamed(settings.other, settings.runs));
  compareAndShow(first, second, settings.within, settings.json, context);
  return {};
}

CLI::App* addPart(CLI::App* train, const char* name, const char* what, const char* example,
                  const std::shared_ptr<Settings>& settings) {
  auto* command = train->add_subcommand(name, what);
  command->footer(std::string("Example:\n  ") + example);
  command->add_option("--runs", settings->runs, "the folder of runs")->capture_default_str();
  return command;
}

void addCompare(CLI::App* train, Context& context) {
  auto settings = std::make_shared<Settings>();
  auto* command = addPart(
      train, "compare", "Say whether two runs came out the same, else where they part and why",
      "railhead train compare runs/pair-0001 runs/pair-0002\n"
      "  railhead train compare pair-0001 pair-0002 --within 1e-5 --json\n"
      "Exit code 3: they differ, by more than --within allows, or there is nothing to compare.",
      settings);
  command->add_option("first", settings->run, "a run's folder, or its name below --runs")
      ->required();
  command->add_option("second", settings->other, "another")->required();
  command->add_option("--within", settings->within, "the relative difference that is allowed")
      ->check(usage::realRange(0.0, 1.0));
  command->add_flag("--json", settings->json, "print the result as JSON");
  command->final_callback([settings, &context] { run(compare, *settings, context); });
}

}  // namespace

void compareAndShow(const train::RunFolder& first, const train::RunFolder& second, double within,
                    bool json, Context& context) {
  const auto files = filesHere();
  if (!files.has_value()) return fail(context, files.error());
  const auto comparison = train::compareRuns(**files, first, second, within);
  if (!comparison.has_value()) return fail(context, comparison.error());
  if (json) {
    context.out << comparisonJson(first, second, within, *comparison)
                       .dump(-1, ' ', false, Json::error_handler_t::replace)
                << '\n';
  } else {
    printComparison(context.out, *comparison);
  }
  const bool same = comparison->sameness == train::Sameness::kBitwise ||
                    comparison->sameness == train::Sameness::kWithin;
  if (!same) context.exitCode = ExitCode::kCheckFailed;
}

void addTrainRunsCommands(CLI::App* train, Context& context) {
  addCompare(train, context);
  auto listing = std::make_shared<Settings>();
  auto* command = addPart(train, "list", "Show the runs there are", "railhead train list", listing);
  command->add_flag("--json", listing->json, "print the result as JSON");
  command->final_callback([listing, &context] { run(list, *listing, context); });

  auto log = std::make_shared<Settings>();
  command = addPart(train, "logs", "Show what a rank printed",
                    "railhead train logs pair-0001 --rank 1 --follow", log);
  command->add_option("run", log->run, "a run's folder, or its name below --runs")->required();
  command->add_option("--rank", log->rank, "from 0")->check(CLI::Range(0, 4095));
  command->add_flag("--follow", log->follow, "go on as long as the run does");
  command->final_callback([log, &context] { run(logs, *log, context); });

  auto stopping = std::make_shared<Settings>();
  command = addPart(train, "stop", "Stop a run; railhead train resume goes on with it",
                    "railhead train stop pair-0001\n"
                    "Exit code 1: it still ran after --seconds; it has been told all the same.",
                    stopping);
  command->add_option("run", stopping->run, "a run's folder, or its name below --runs")->required();
  command->add_option("--seconds", stopping->seconds, "to wait for its end")
      ->check(usage::realRange(1.0, 86400.0))
      ->capture_default_str();
  command->final_callback([stopping, &context] { run(stop, *stopping, context); });
}

}  // namespace railhead::app
