#include "apps/railhead-agent/cni_commands.h"

#include "apps/railhead-agent/stop_signals.h"
#include "src/agent/agent.h"
#include "src/attach/journal.h"
#include "src/base/text.h"
#include "src/conflist/check.h"
#include "src/conflist/installer.h"
#include "src/conflist/uninstall.h"
#include "src/os/filesystem.h"
#include "src/os/host_paths.h"
#include "src/os/netns.h"

#include <filesystem>
#include <iostream>
#include <memory>

#include <CLI/CLI.hpp>

namespace railhead::agent_app {
namespace {

constexpr std::size_t kMaxShown = 8;  // pods named in an error

struct CniOptions {
  std::string root = "/";
  os::HostPaths paths;
  std::string file{conflist::kDefaultFile};
  std::string cache = "/var/lib/cni/results";
  bool json = false;
  bool stay = false;
};

Result<void> check(const CniOptions& options) {
  RAILHEAD_TRY_ASSIGN(const auto files, os::RootedFilesystem::open(options.root));
  const auto report = conflist::checkCni(*files, {options.paths.cniConfig, options.paths.cniBin,
                                                  options.file, options.paths.cniSocket()});
  std::cout << (options.json ? conflist::toJson(report) + "\n" : conflist::describe(report));
  if (report.callsUs()) return {};
  if (report.cannotTell())
    return Error(ErrorCode::kPermissionDenied,
                 "whether pods of this node get networks from railhead cannot be seen",
                 "run check-cni as root, or as who may read what is listed");
  return Error(ErrorCode::kCheckFailed, "pods of this node do not get networks from railhead",
               "see the problems listed");
}

// Pods whose networks are railhead's: only the agent gives their VFs back.
Result<void> checkNoPods(os::Filesystem& files, const os::HostPaths& paths) {
  if (!files.exists(paths.state)) return {};
  RAILHEAD_TRY_ASSIGN(auto journal, attach::Journal::open(files, paths));
  RAILHEAD_TRY_ASSIGN(const auto contents, journal.readAll());
  os::SystemNetnsOpener opener;
  std::vector<std::string> pods;
  for (const auto& attachment : contents.attachments) {
    const auto netns = opener.open(attachment.netnsPath);
    if (netns.has_value() && netns->id == attachment.netns)
      pods.push_back(attachment.pod.toString());
  }
  if (pods.empty()) return {};
  const std::size_t more = pods.size() > kMaxShown ? pods.size() - kMaxShown : 0;
  pods.resize(pods.size() - more);
  return Error(ErrorCode::kBusy,
               "pods of this node have networks of railhead: " + join(pods, ", ") +
                   (more > 0 ? " and " + std::to_string(more) + " more" : ""),
               "drain the node, or delete these pods, while railhead-agent runs");
}

Result<void> uninstall(const CniOptions& options) {
  if (options.paths.cniBin.find(':') != std::string::npos)
    return Error(ErrorCode::kInvalidArgument,
                 "--cni-bin is " + inQuotes(options.paths.cniBin) + "; allowed: one folder",
                 "give the one that the agent was started with");
  RAILHEAD_TRY_ASSIGN(const auto files, os::RootedFilesystem::open(options.root));
  // A running agent would put everything back.
  RAILHEAD_TRY_ASSIGN(const auto lock, agent::lockNode(*files, options.paths));
  RAILHEAD_TRY(checkNoPods(*files, options.paths));
  RAILHEAD_TRY_ASSIGN(const auto outcome,
                      conflist::uninstall(*files, {options.paths.cniConfig, options.paths.cniBin,
                                                   options.file, options.cache}));
  for (const auto& line : outcome.changes) std::cout << line << '\n';
  if (!outcome.stays.empty()) std::cout << outcome.stays << '\n';
  if (outcome.changes.empty() && outcome.stays.empty()) std::cout << "nothing to do\n";
  if (options.stay) waitForStop();
  return {};
}

// An empty one would be the root folder.
Result<void> checkFolders(const std::string& folders) {
  for (const auto folder : split(folders, ':')) {
    if (!folder.empty()) continue;
    return Error(ErrorCode::kInvalidArgument,
                 "--cni-bin is " + inQuotes(folders) + "; allowed: folders with ':' between them",
                 "take away the ':' that has no folder on one side");
  }
  return {};
}

std::string absolute(std::string_view path) {
  std::error_code ignored;
  return std::filesystem::absolute(path, ignored).string();
}

}  // namespace

void addCniCommands(CLI::App& app, ExitCode& code) {
  auto options = std::make_shared<CniOptions>();
  const auto add = [&](const char* name, const char* what, Result<void> (*body)(const CniOptions&),
                       const char* example) {
    auto* command = app.add_subcommand(name, what);
    command->footer(std::string("Example:\n  ") + example);
    command->add_option("--cni-conf", options->paths.cniConfig, "The runtime's CNI configurations")
        ->capture_default_str();
    command
        ->add_option("--cni-bin", options->paths.cniBin,
                     "The runtime's CNI programs; check-cni takes several folders, as A:B")
        ->capture_default_str();
    command->add_option("--file", options->file, "Name of our conflist")->capture_default_str();
    command->add_option("--state", options->paths.state, "The agent's state folder")
        ->capture_default_str();
    command->add_option("--root", options->root, "Look below this folder")->capture_default_str();
    command->final_callback([options, body, &code] {
      auto& paths = options->paths;
      for (std::string* path : {&paths.cniConfig, &paths.state}) *path = absolute(*path);
      auto done = checkFolders(paths.cniBin);
      if (done.has_value()) {
        std::vector<std::string> folders;
        for (const auto folder : split(paths.cniBin, ':')) folders.push_back(absolute(folder));
        paths.cniBin = join(folders, ":");
        done = body(*options);
      }
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
  auto* away = add("uninstall-cni",
                   "Take our conflist and shim away; the primary network serves alone again",
                   uninstall, "railhead-agent uninstall-cni");
  away->add_option("--cni-cache", options->cache, "The list that each pod was made with")
      ->capture_default_str();
  away->add_flag("--stay", options->stay, "Then wait for SIGTERM, as a DaemonSet's program must");
}

}  // namespace railhead::agent_app
