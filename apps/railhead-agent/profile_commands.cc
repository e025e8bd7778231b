#include "apps/railhead-agent/profile_commands.h"

#include "src/agent/cluster/timestamp.h"
#include "src/agent/delivery/shelf.h"
#include "src/os/filesystem.h"
#include "src/os/host_paths.h"

#include <filesystem>
#include <iostream>
#include <memory>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

namespace railhead::agent_app {
namespace {

struct ProfileOptions {
  os::HostPaths paths;
  bool json = false;
};

std::string orNone(const std::string& hash) { return hash.empty() ? "none" : hash; }

Result<void> show(agent::ProfileShelf& shelf, const ProfileOptions& options) {
  const auto record = shelf.record();
  const std::string since = record.current.empty() ? "" : agent::microTime(record.since);
  if (options.json) {
    std::cout << nlohmann::ordered_json{{"schema", "railhead.profile/1"},
                                        {"current", record.current},
                                        {"since", since},
                                        {"previous", record.previous},
                                        {"set_aside", shelf.setAside()},
                                        {"kept", shelf.hashes()}}
                     .dump(2)
              << '\n';
    return {};
  }
  std::cout << "current    " << orNone(record.current) << (since.empty() ? "" : " since " + since)
            << "\nprevious   " << orNone(record.previous) << "\nset aside  "
            << orNone(shelf.setAside()) << "\nkept       " << shelf.hashes().size()
            << " of at most " << agent::ProfileShelf::kMaxProfiles << '\n';
  return {};
}

// The agent follows the mark: it need not run now.
Result<void> rollback(agent::ProfileShelf& shelf, const ProfileOptions&) {
  const auto record = shelf.record();
  if (record.current.empty() || record.current == shelf.setAside()) {
    return Error(ErrorCode::kNotFound, "no profile is in force on this node",
                 "see railhead-agent status");
  }
  RAILHEAD_TRY(shelf.setAside(record.current));
  std::cout << "set aside: " << record.current
            << "\nnew containers get: " << orNone(record.previous) << '\n';
  return {};
}

Result<void> resume(agent::ProfileShelf& shelf, const ProfileOptions&) {
  const std::string aside = shelf.setAside();
  RAILHEAD_TRY(shelf.setAside(""));
  std::cout << (aside.empty() ? "nothing was set aside\n" : "no longer set aside: " + aside + "\n");
  return {};
}

Result<void> withShelf(const ProfileOptions& options,
                       Result<void> (*body)(agent::ProfileShelf&, const ProfileOptions&)) {
  RAILHEAD_TRY_ASSIGN(const auto files, os::RootedFilesystem::open("/"));
  agent::ProfileShelf shelf(*files, options.paths);
  return body(shelf, options);
}

}  // namespace

void addProfileCommands(CLI::App& app, ExitCode& code) {
  auto options = std::make_shared<ProfileOptions>();
  auto* profile =
      app.add_subcommand("profile", "The tuned profile that containers of this node get");
  profile->footer("Example:\n  railhead-agent profile show");
  profile->require_subcommand(1);
  const auto add = [&](const char* name, const char* what,
                       Result<void> (*body)(agent::ProfileShelf&, const ProfileOptions&)) {
    auto* command = profile->add_subcommand(name, what);
    command->footer(std::string("Example:\n  railhead-agent profile ") + name);
    command->add_option("--state", options->paths.state, "The agent's state folder")
        ->capture_default_str();
    command->final_callback([options, body, &code] {
      std::error_code ignored;
      options->paths.state = std::filesystem::absolute(options->paths.state, ignored).string();
      const auto done = withShelf(*options, body);
      if (done.has_value()) return;
      std::cerr << "railhead-agent: " << done.error().message << '\n';
      if (!done.error().remedy.empty()) std::cerr << "  remedy: " << done.error().remedy << '\n';
      code = exitCodeFor(done.error().code);
    });
    return command;
  };
  add("show", "Print which profile was applied last, and the one before", show)
      ->add_flag("--json", options->json, "Print JSON");
  add("rollback", "Go back to the profile before, until the cluster's file holds another one",
      rollback);
  add("resume", "Undo a rollback", resume);
}

}  // namespace railhead::agent_app
