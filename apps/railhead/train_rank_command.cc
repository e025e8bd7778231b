#include "apps/railhead/train_rank_command.h"

#include "apps/railhead/tune_options.h"
#include "src/launch/commands.h"
#include "src/launch/guard.h"
#include "src/os/host_paths.h"
#include "src/train/node_facts.h"
#include "src/train/run_folder.h"

#include <cstdlib>
#include <iostream>
#include <memory>

#include <CLI/CLI.hpp>
#include <unistd.h>

namespace railhead::app {
namespace {

struct Settings {
  std::vector<std::string> argv;
  std::string folder;
  std::uint64_t grace = 3000;  // ms
  bool facts = false;
  bool untilStdinEnds = false;
};

std::string variable(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): one thread
  return value == nullptr ? "" : value;
}

// In a process of its own: the libraries it loads are none of the guard's, and a driver that hangs
// holds up nothing. The guard ends it with everything else.
void tellFacts() {
  if (::fork() != 0) return;
  const auto files = os::RootedFilesystem::open("/");
  if (files.has_value()) {
    const auto facts = train::nodeFacts(**files, os::HostPaths(), variable("RAILHEAD_NODE"));
    const std::string line = train::factsLine(facts) + "\n";
    // At most 4 KiB: whole among the lines of the command.
    [[maybe_unused]] const ssize_t put = ::write(STDERR_FILENO, line.data(), line.size());
  }
  ::_exit(0);
}

// A profile's choices by size take the plugin, which lies beside this node's railhead.
Result<void> givePlugin(const std::string& program) {
  if (variable("RAILHEAD_TUNER_TABLE").empty() || !variable("NCCL_TUNER_PLUGIN").empty()) return {};
  const std::string plugin = defaultTunerPlugin(program);
  if (::access(plugin.c_str(), R_OK) != 0) {
    return Error(
        ErrorCode::kEnvironment, "the profile chooses by size, and its plugin is not at " + plugin,
        "install Railhead's plugin there, or say where it is: NCCL_TUNER_PLUGIN in the run "
        "file's environment");
  }
  ::setenv("NCCL_TUNER_PLUGIN", plugin.c_str(), 1);  // NOLINT: one thread
  return {};
}

void run(const Settings& settings, Context& context) {
  const auto given = givePlugin(context.program);
  if (!given.has_value()) return fail(context, given.error());
  const std::string folder = variable("RAILHEAD_RUN_DIR");
  const std::string rank = variable("RANK");
  if (!folder.empty() && !rank.empty()) {
    const auto metrics = train::RunFolder(folder).metricsFile(std::atoi(rank.c_str()));
    ::setenv("RAILHEAD_METRICS_FILE", metrics.c_str(), 1);  // NOLINT: one thread
  }
  os::UniqueFd held;
  if (!folder.empty()) {
    auto hold = train::RunFolder(folder).holdAsRank();
    if (!hold.has_value()) return fail(context, hold.error());
    held = std::move(*hold);
  }
  if (settings.facts && variable("LOCAL_RANK") == "0") tellFacts();
  launch::GuardedCommand command;
  command.argv = settings.argv;
  command.folder = settings.folder;
  command.grace = std::chrono::milliseconds(settings.grace);
  command.untilInputEnds = settings.untilStdinEnds;
  const os::HostPaths paths;
  const auto code = launch::runGuarded(command, paths.proc, paths.dev + "/null");
  if (code.has_value()) {
    // By ssh 255 says that ssh itself failed.
    const bool asSsh = settings.untilStdinEnds && *code == launch::kSshFailed;
    context.exitCode = static_cast<ExitCode>(asSsh ? launch::kSshFailed - 1 : *code);
    return;
  }
  fail(context, code.error());
  // As shells have it: no such program.
  if (code.error().code == ErrorCode::kNotFound) context.exitCode = static_cast<ExitCode>(127);
  if (code.error().code == ErrorCode::kPermissionDenied)
    context.exitCode = static_cast<ExitCode>(126);
}

}  // namespace

void addTrainRank(CLI::App* train, Context& context) {
  auto settings = std::make_shared<Settings>();
  auto* command = train->add_subcommand("rank", "One rank of a training run")->group("");
  command->add_option("command", settings->argv, "the command and its arguments, after --")
      ->required();
  command->add_option("--folder", settings->folder, "where it runs");
  command->add_option("--grace", settings->grace, "ms between SIGTERM and SIGKILL");
  command->add_flag("--facts", settings->facts, "tell what the node is");
  command->add_flag("--until-stdin-ends", settings->untilStdinEnds,
                    "stop it when standard input ends");
  command->final_callback([settings, &context] { run(*settings, context); });
}

}  // namespace railhead::app
