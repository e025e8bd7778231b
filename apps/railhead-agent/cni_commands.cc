#include "apps/railhead-agent/cni_commands.h"

#include "src/agent/agent.h"
#include "src/conflist/check.h"
#include "src/conflist/installer.h"
#include "src/os/clock.h"
#include "src/os/filesystem.h"
#include "src/os/host_paths.h"

#include <iostream>
#include <memory>

#include <CLI/CLI.hpp>

namespace railhead::agent_app {
namespace {

struct Options {
  std::string root = "/";
  os::HostPaths paths;
  std::string file{conflist::kDefaultFile};
  bool json = false;
};

Result<void> check(const Options& options) {
  RAILHEAD_TRY_ASSIGN(const auto files, os::RootedFilesystem::open(options.root));
  const auto report = conflist::checkCni(*files, {options.paths.cniConfig, options.paths.cniBin,
                                                  options.file, options.paths.cniSocket()});
  std::cout << (options.json ? conflist::toJson(report) + "\n" : conflist::describe(report));
  if (report.callsUs()) return {};
  return Error(ErrorCode::kCheckFailed, "the runtime does not call railhead on this node",
               "see the problems listed");
}

Result<void> uninstall(const Options& options) {
  RAILHEAD_TRY_ASSIGN(const auto files, os::RootedFilesystem::open(options.root));
  // A running agent would put everything back.
  RAILHEAD_TRY_ASSIGN(const auto lock, agent::lockNode(*files, options.paths));
  os::SystemClock clock;
  conflist::InstallerConfig config;
  config.folder = options.paths.cniConfig;
  config.binFolder = options.paths.cniBin;
  config.file = options.file;
  RAILHEAD_TRY_ASSIGN(const auto outcome,
                      conflist::ConflistInstaller(config, *files, clock).uninstall());
  for (const auto& line : outcome.changes) std::cout << line << '\n';
  if (!outcome.note.empty()) std::cout << outcome.note << '\n';
  if (outcome.changes.empty() && outcome.note.empty()) std::cout << "nothing to do\n";
  return {};
}

}  // namespace

void addCniCommands(CLI::App& app, ExitCode& code) {
  auto options = std::make_shared<Options>();
  const auto add = [&](const char* name, const char* what, Result<void> (*body)(const Options&),
                       const char* example) {
    auto* command = app.add_subcommand(name, what);
    command->footer(std::string("Example:\n  ") + example);
    command->add_option("--cni-conf", options->paths.cniConfig, "The runtime's CNI configurations")
        ->capture_default_str();
    command->add_option("--cni-bin", options->paths.cniBin, "The runtime's CNI programs")
        ->capture_default_str();
    command->add_option("--file", options->file, "Name of our conflist")->capture_default_str();
    command->add_option("--state", options->paths.state, "The agent's state folder")
        ->capture_default_str();
    command->add_option("--root", options->root, "Look below this folder")->capture_default_str();
    command->final_callback([options, body, &code] {
      const auto done = body(*options);
      if (done.has_value()) return;
      std::cerr << "railhead-agent: " << done.error().message << '\n';
      if (!done.error().remedy.empty()) std::cerr << "  remedy: " << done.error().remedy << '\n';
      code = exitCodeFor(done.error().code);
    });
    return command;
  };
  add("check-cni", "Explain what the runtime uses for pod networks, and whether it calls railhead",
      check, "railhead-agent check-cni --json")
      ->add_flag("--json", options->json, "Print JSON");
  add("uninstall-cni", "Take our conflist and shim away; the primary network serves alone again",
      uninstall, "railhead-agent uninstall-cni");
}

}  // namespace railhead::agent_app
