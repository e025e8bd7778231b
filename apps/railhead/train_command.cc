#include "apps/railhead/train_command.h"

#include "apps/railhead/train_objects.h"
#include "apps/railhead/train_place.h"
#include "apps/railhead/train_rank_command.h"
#include "apps/railhead/train_run.h"
#include "apps/railhead/train_runs_command.h"
#include "apps/railhead/train_show.h"
#include "apps/usage/values.h"

#include <memory>
#include <ostream>

#include <CLI/CLI.hpp>

namespace railhead::app {
namespace {

constexpr const char* kExamples =
    "Examples:\n"
    "  this machine:        railhead train run run.yaml\n"
    "  two nodes:           railhead train run run.yaml --on ssh:spark-a,spark-b\n"
    "  go on with it:       railhead train resume pair-0001\n"
    "  the same again:      railhead train replay pair-0001; railhead train compare pair-0001 "
    "pair-0002\n"
    "  look and stop:       railhead train list; railhead train show pair-0001; railhead train "
    "logs "
    "pair-0001 --rank 1; railhead train stop pair-0001\n"
    "A rank that dies or hangs stops all; all start again from the last complete checkpoint.\n"
    "Nothing is left running. A run is a folder with its manifest: railhead train run --help.";

struct Settings {
  std::string file;  // or the run
  TrainRunOptions options;
  double within = 0;
  bool dryRun = false;
};

// The objects of a cluster, and nothing else.
Result<std::string> dryRun(const Settings& settings, const ReadRunFile& file) {
  RAILHEAD_TRY_ASSIGN(const auto placement, trainPlacement(settings.options.on, file.run));
  if (placement.kind != launch::Placement::Kind::kKubernetes) {
    return Error(ErrorCode::kInvalidArgument,
                 "--dry-run with --on " + placement.toString() +
                     ": only --on kubernetes has objects to show",
                 "give --on kubernetes, or leave --dry-run out");
  }
  std::string folder = settings.options.folder;
  while (folder.ends_with('/')) folder.pop_back();
  return trainObjects(file.run,
                      folder.empty() ? file.run.name : folder.substr(folder.rfind('/') + 1));
}

void run(const Settings& settings, Context& context) {
  const auto file = readRunFile(settings.file);
  if (!file.has_value()) return fail(context, file.error());
  if (settings.dryRun) {
    const auto objects = dryRun(settings, *file);
    if (!objects.has_value()) return fail(context, objects.error());
    context.out << *objects;
    return;
  }
  const auto folder = startRun(*file, settings.options, "", context);
  if (!folder.has_value()) fail(context, folder.error());
}

void resume(const Settings& settings, Context& context) {
  const auto folder = runNamed(settings.file, settings.options.runs);
  if (!folder.has_value()) return fail(context, folder.error());
  const auto done = resumeRun(*folder, settings.options, context);
  if (!done.has_value()) fail(context, done.error());
}

Result<ReadRunFile> fileOfRun(const train::RunFolder& folder) {
  RAILHEAD_TRY_ASSIGN(const auto files, os::RootedFilesystem::open("/"));
  RAILHEAD_TRY_ASSIGN(const auto manifest, folder.readManifest(*files));
  RAILHEAD_TRY_ASSIGN(auto file, readOwnRunFile(folder, manifest));
  file.run.on = manifest.place.on;
  RAILHEAD_TRY(checkData(manifest, file.folder));
  return file;
}

// The same run file at the same place, in a folder of its own, and compared with the first.
void replay(const Settings& settings, Context& context) {
  const auto first = runNamed(settings.file, settings.options.runs);
  if (!first.has_value()) return fail(context, first.error());
  const auto file = fileOfRun(*first);
  if (!file.has_value()) return fail(context, file.error());
  const auto second = startRun(*file, settings.options, first->id(), context);
  if (!second.has_value()) return fail(context, second.error());
  if (context.exitCode != ExitCode::kOk) return;
  compareAndShow(*first, *second, settings.within, settings.options.json, context);
}

void addRunOptions(CLI::App* command, TrainRunOptions& options) {
  command->add_option(
      "--on", options.on,
      "local, local:N, lab, ssh:HOST,HOST, kubernetes[:CONTEXT]; default: the run file's, "
      "else local");
  command->add_option("--lab", options.lab, "of --on lab: the name of the running lab");
  command->add_option("--runs", options.runs, "the folder of runs")->capture_default_str();
  command->add_option("--metrics", options.metrics,
                      "serve Prometheus metrics at this ADDRESS:PORT while it runs");
  command->add_flag("--json", options.json, "print what happens as lines of JSON");
  command->add_flag("--output", options.output, "show what the ranks print");
}

void addRun(CLI::App* train, Context& context) {
  auto settings = std::make_shared<Settings>();
  auto* command = train->add_subcommand("run", "Start a run and stay with it to its end");
  command->footer(
      "Examples:\n  railhead train run run.yaml\n"
      "  railhead train run run.yaml --on ssh:spark-a,spark-b --metrics 127.0.0.1:9478\n"
      "  railhead train run run.yaml --on lab\n"
      "  railhead train run run.yaml --on kubernetes --dry-run | kubectl apply -f -\n"
      "Ctrl-C stops it; railhead train resume goes on. Exit code 0: it finished; 3: the data or "
      "the\nverdict are not what the run file says, and nothing was started.");
  command->add_option("file", settings->file, "the run file")->required();
  command->add_option("--folder", settings->options.folder,
                      "of this run; default: NAME-0001 and on below --runs");
  command->add_flag("--dry-run", settings->dryRun,
                    "with --on kubernetes: print the objects and start nothing");
  addRunOptions(command, settings->options);
  command->final_callback([settings, &context] { run(*settings, context); });
}

void addResume(CLI::App* train, Context& context) {
  auto settings = std::make_shared<Settings>();
  auto* command = train->add_subcommand("resume", "Go on with a run from its last checkpoint");
  command->footer("Example:\n  railhead train resume pair-0001");
  command->add_option("run", settings->file, "a run's folder, or its name below --runs")
      ->required();
  command->add_flag("--changed-code", settings->options.changedCode,
                    "also where files of the command have changed since");
  addRunOptions(command, settings->options);
  command->final_callback([settings, &context] { resume(*settings, context); });
}

void addReplay(CLI::App* train, Context& context) {
  auto settings = std::make_shared<Settings>();
  auto* command = train->add_subcommand("replay", "Do a run again, and compare the two");
  command->footer(
      "Example:\n  railhead train replay pair-0001\n"
      "Exit code 3: it came out otherwise; the first difference and what may explain it are "
      "shown.");
  command->add_option("run", settings->file, "a run's folder, or its name below --runs")
      ->required();
  command->add_option("--folder", settings->options.folder,
                      "of the new run; default: the next number below --runs");
  command->add_option("--within", settings->within, "the relative difference that is allowed")
      ->check(usage::realRange(0.0, 1.0));
  addRunOptions(command, settings->options);
  command->final_callback([settings, &context] { replay(*settings, context); });
}

}  // namespace

void addTrainCommand(CLI::App& app, Context& context) {
  auto* train = app.add_subcommand("train", "Training runs: watched, started again, compared");
  train->footer(kExamples);
  addRun(train, context);
  addResume(train, context);
  addReplay(train, context);
  addTrainRunsCommands(train, context);
  addTrainShow(train, context);
  addTrainRank(train, context);
}

}  // namespace railhead::app
