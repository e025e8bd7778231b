#include "apps/railhead-agent/commands.h"

#include "apps/railhead-agent/api_access.h"
#include "apps/railhead-agent/stop_signals.h"
#include "apps/usage/values.h"
#include "src/agent/agent.h"
#include "src/agent/config_watch.h"
#include "src/agent/node_view.h"
#include "src/agent/privileges.h"
#include "src/agent/probes.h"
#include "src/agent/status.h"
#include "src/agent/status_server.h"
#include "src/base/text.h"
#include "src/discover/discover.h"
#include "src/discover/node_text.h"
#include "src/gpu/gpu.h"
#include "src/gpu/labels.h"
#include "src/provision/provision.h"

#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>
#include <mutex>
#include <thread>

#include <CLI/CLI.hpp>
#include <pthread.h>
#include <unistd.h>

namespace railhead::agent_app {
namespace {

struct Options {
  std::string config = "/etc/railhead/agent.yaml";
  std::string root = "/";
  os::HostPaths paths;
  bool json = false;
  bool jsonLog = false;
  bool takeOver = false;
  bool debug = false;
  bool dryRun = false;
  std::string probe = "ready";
  ApiOptions api;

  gpu::GpuLibraryOptions gpuLibraries() const {
    gpu::GpuLibraryOptions gpus;
    gpus.sys = paths.sys;
    return gpus;
  }
};

void report(const Error& error, ExitCode& code) {
  std::cerr << "railhead-agent: " << error.message << '\n';
  if (!error.remedy.empty()) std::cerr << "  remedy: " << error.remedy << '\n';
  code = exitCodeFor(error.code);
}

Result<std::string> readConfigText(const std::string& path) {
  auto text = agent::readConfigFile(path);
  if (text.has_value()) return text;
  Error error = std::move(text).error();
  error.code = ErrorCode::kInvalidArgument;
  return std::move(error)
      .addContext("configuration")
      .withRemedy("give a readable file with --config");
}

Result<agent::AgentConfig> loadConfig(const std::string& given) {
  // Of this machine whatever --root says.
  RAILHEAD_TRY_ASSIGN(const auto path, usage::absolutePath(given));
  RAILHEAD_TRY_ASSIGN(const std::string text, readConfigText(path));
  return agent::parseConfig(text, path);
}

// Everything real, in one place.
struct Machine {
  std::unique_ptr<os::Filesystem> files;
  std::unique_ptr<netlink::NetlinkOpener> netlink = netlink::openKernel();
  os::SystemNetnsOpener netns;
  os::SystemClock clock;
  std::unique_ptr<os::Log> log;

  static Result<std::unique_ptr<Machine>> open(const Options& options) {
    auto machine = std::make_unique<Machine>();
    auto files = os::RootedFilesystem::open(options.root);
    if (!files.has_value()) {
      Error error = std::move(files).error();
      error.code = ErrorCode::kInvalidArgument;
      return std::move(error)
          .addContext("--root " + inQuotes(options.root))
          .withRemedy("name a folder that can be read: a node's / or a recorded tree");
    }
    machine->files = std::move(*files);
    machine->log = os::openLog(options.jsonLog ? os::LogFormat::kJson : os::LogFormat::kText,
                               options.debug ? os::LogLevel::kDebug : os::LogLevel::kInfo);
    return machine;
  }
};

// Takes SIGTERM and SIGINT. While the agent starts, a signal ends the process at once: starting
// waits for drivers and for kubelet, and every step of it stands being killed. Afterwards it is
// told and stops in order.
class StopSignal {
 public:
  StopSignal()
      : thread_([this] {
          const int signal = waitForStop();
          const std::lock_guard lock(mutex_);
          if (!started_) ::_exit(128 + signal);
          came_ = signal;
          changed_.notify_all();
        }) {}
  ~StopSignal() {
    {
      const std::lock_guard lock(mutex_);
      if (came_ == 0) ::pthread_kill(thread_.native_handle(), SIGTERM);
    }
    thread_.join();
  }
  // The agent is up, or has failed to: a signal is waited for from now on.
  void started() {
    const std::lock_guard lock(mutex_);
    started_ = true;
  }
  int wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return came_ != 0; });
    return came_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool started_ = false;
  int came_ = 0;
  std::thread thread_;
};

// A file that is not valid is refused with its line, and the old configuration stays.
void reload(agent::Agent& agent, os::Log& log, const std::string& path, const std::string& text) {
  const auto reloaded = [&]() -> Result<void> {
    RAILHEAD_TRY_ASSIGN(auto config, agent::parseConfig(text, path));
    return agent.reconfigure(std::move(config));
  }();
  if (reloaded.has_value()) {
    log.info("agent", path + ": in force");
  } else {
    log.error("agent", "the old configuration stays: " + reloaded.error().describe());
  }
}

Result<void> run(const Options& options) {
  RAILHEAD_TRY_ASSIGN(const auto machine, Machine::open(options));
  RAILHEAD_TRY_ASSIGN(const auto path, usage::absolutePath(options.config));
  RAILHEAD_TRY_ASSIGN(const std::string text, readConfigText(path));
  RAILHEAD_TRY_ASSIGN(auto config, agent::parseConfig(text, path));
  // Of every thread and plugin to come: so before the first one. No socket takes more than what
  // is kept.
  RAILHEAD_TRY_ASSIGN(auto privileges, agent::restrictPrivileges(config, *machine->log));
  StopSignal signal;
  const auto start = [&]() -> Result<void> {
    RAILHEAD_TRY_ASSIGN(const auto events, netlink::openNodeEvents());
    gpu::GpuLibrary gpus(options.gpuLibraries(), machine->files.get());
    RAILHEAD_TRY_ASSIGN(const auto access, ApiAccess::make(options.api));
    RAILHEAD_TRY_ASSIGN(auto agent,
                        agent::Agent::create(std::move(config), options.paths,
                                             {*machine->files, *machine->netlink, *events,
                                              machine->netns, machine->clock, *machine->log, &gpus,
                                              &access->cluster(), std::move(privileges)}));
    RAILHEAD_TRY(agent->start(options.takeOver ? agent::Start::kTakeOver : agent::Start::kAlone));
    RAILHEAD_TRY_ASSIGN(auto watch,
                        agent::ConfigWatch::start(path, text, [&](const std::string& changed) {
                          reload(*agent, *machine->log, path, changed);
                        }));
    machine->log->info("agent", "ready");
    signal.started();
    machine->log->info("agent",
                       signal.wait() == SIGTERM ? "SIGTERM: stopping" : "interrupted: stopping");
    watch.reset();
    agent->stop();
    machine->log->info("agent", "stopped");
    if (agent->handedOver()) std::_Exit(0);
    return {};
  };
  auto done = start();
  signal.started();
  return done;
}

// A file that was named must be there; the usual one need not.
bool usesConfig(const Options& options) {
  std::error_code ignored;
  return options.config != Options().config || std::filesystem::exists(options.config, ignored);
}

// As the shell that calls us means them.
void makeAbsolute(Options& options) {
  auto& paths = options.paths;
  for (std::string* path : {&paths.kubeletPlugins, &paths.podResources, &paths.cniConfig,
                            &paths.cniBin, &paths.cniShim, &paths.state, &paths.probeSocket}) {
    std::error_code ignored;
    if (!path->empty()) *path = std::filesystem::absolute(*path, ignored).string();
  }
}

Result<void> discoverNode(const Options& options) {
  RAILHEAD_TRY_ASSIGN(const auto machine, Machine::open(options));
  auto node = discover::discoverNode(*machine->files, options.paths);
  if (!node.has_value()) {
    Error error = std::move(node).error();
    const bool given = options.root != "/" && error.code == ErrorCode::kNotFound;
    if (given) error.code = ErrorCode::kInvalidArgument;  // a folder, but no node's root
    return std::move(error).addContext("--root " + inQuotes(options.root));
  }
  discover::TwinRules rules;
  if (usesConfig(options)) {
    RAILHEAD_TRY_ASSIGN(auto config, loadConfig(options.config));
    rules = std::move(config.twins);
  }
  const auto cages = discover::pairTwins(*node, rules);
  if (!cages.refused.empty()) return cages.refused.front();
  std::cout << (options.json ? discover::toJson(*node, cages) : discover::describe(*node, cages));
  return {};
}

// Where there is no driver there are no labels, and that is no failure.
Result<void> printLabels(const Options& options) {
  RAILHEAD_TRY_ASSIGN(const auto machine, Machine::open(options));
  gpu::LabelOptions labels;
  if (usesConfig(options)) {
    RAILHEAD_TRY_ASSIGN(const auto config, loadConfig(options.config));
    labels = {config.gpus.resource.replicas, config.gpus.resource.mig};
  }
  gpu::GpuLibrary library(options.gpuLibraries(), machine->files.get());
  RAILHEAD_TRY_ASSIGN(const auto inventory, library.inventory());
  if (!inventory.absence.empty())
    std::cerr << "railhead-agent: no GPU driver: " << inventory.absence << '\n';
  for (const auto& line : inventory.problems) std::cerr << "railhead-agent: " << line << '\n';
  const auto found = gpu::gpuLabels(inventory, labels);
  std::cout << (options.json ? agent::labelsJson(found) + "\n" : agent::labelsText(found));
  return {};
}

Result<void> provisionNode(const Options& options) {
  RAILHEAD_TRY_ASSIGN(const auto machine, Machine::open(options));
  RAILHEAD_TRY_ASSIGN(const auto config, loadConfig(options.config));
  agent::KubeletPodDevices kubelet(options.paths.podResourcesSocket());
  agent::NodeVfHolders holders(kubelet, options.paths.kubeletPlugins);
  provision::Provisioner provisioner(
      {*machine->files, options.paths, *machine->netlink, machine->clock, holders});
  if (options.dryRun) {
    RAILHEAD_TRY_ASSIGN(const auto plan, provisioner.plan(config.goal));
    for (const auto& line : plan.lines()) std::cout << line << '\n';
    if (plan.empty()) std::cout << "nothing to do\n";
    return {};
  }
  RAILHEAD_TRY_ASSIGN(const os::UniqueFd lock, agent::lockNode(*machine->files, options.paths));
  RAILHEAD_TRY_ASSIGN(const auto done, provisioner.apply(config.goal));
  for (const auto& line : done.changes) std::cout << line << '\n';
  for (const auto& line : done.untouched) std::cout << line << '\n';
  for (const auto& line : done.warnings) std::cerr << "warning: " << line << '\n';
  if (done.changes.empty() && done.ok()) std::cout << "nothing to do\n";
  return done.outcome();
}

Result<void> checkConfig(const Options& options) {
  RAILHEAD_TRY(loadConfig(options.config));
  std::cout << options.config << ": valid\n";
  return {};
}

Result<void> printStatus(const Options& options) {
  RAILHEAD_TRY_ASSIGN(const std::string status, agent::askStatus(options.paths));
  std::cout << status << '\n';
  return {};
}

Result<void> probe(const Options& options) {
  RAILHEAD_TRY_ASSIGN(const auto state, agent::askProbes(options.paths.probeSocket));
  const std::string& problem = options.probe == "live" ? state.notLive : state.notReady;
  if (problem.empty()) return {};
  return Error(ErrorCode::kCheckFailed, "not " + options.probe + ": " + problem);
}

}  // namespace

void addCommands(CLI::App& app, ExitCode& code) {
  auto options = std::make_shared<Options>();
  const auto add = [&](const char* name, const char* what, Result<void> (*body)(const Options&),
                       const char* example) {
    auto* command = app.add_subcommand(name, what);
    command->footer(std::string("Example:\n  ") + example);
    command->add_option("--config", options->config, "Configuration file")->capture_default_str();
    command->final_callback([options, body, &code] {
      makeAbsolute(*options);
      auto done = body(*options);
      if (!done.has_value()) report(done.error(), code);
    });
    return command;
  };
  auto* runCommand = add("run", "Serve until SIGTERM", run,
                         "railhead-agent run --config /etc/railhead/agent.yaml");
  runCommand->add_flag("--json-log", options->jsonLog, "One JSON object a log line");
  runCommand->add_flag("--take-over", options->takeOver,
                       "Take the node from a running agent, which serves until this one can");
  runCommand->add_flag("--debug", options->debug, "Log more");
  runCommand
      ->add_option("--kubelet-plugins", options->paths.kubeletPlugins,
                   "kubelet's device-plugins folder")
      ->capture_default_str();
  runCommand
      ->add_option("--pod-resources", options->paths.podResources, "kubelet's pod-resources folder")
      ->capture_default_str();
  runCommand->add_option("--cni-conf", options->paths.cniConfig, "The runtime's CNI configurations")
      ->capture_default_str();
  runCommand->add_option("--cni-bin", options->paths.cniBin, "The runtime's CNI programs")
      ->capture_default_str();
  runCommand->add_option("--cni-shim", options->paths.cniShim, "Our shim, to be installed there")
      ->capture_default_str();
  runCommand
      ->add_option("--root", options->root,
                   "Read and write files below this folder: a recorded node; sockets stay outside")
      ->capture_default_str();
  runCommand->add_option("--state", options->paths.state, "Folder for sockets and the journal")
      ->capture_default_str();
  runCommand->add_option("--probe-socket", options->paths.probeSocket,
                         "Where `probe` asks this very agent; absent: nowhere");
  addApiOptions(*runCommand, options->api);
  auto* discoverCommand = add("discover", "Print the picture of the node; reads only", discoverNode,
                              "railhead-agent discover --root /tmp/recorded-tree --json");
  discoverCommand->add_option("--root", options->root, "Read below this folder")
      ->capture_default_str();
  discoverCommand->add_flag("--json", options->json, "Print JSON");
  auto* provisionCommand =
      add("provision", "Bring the VFs to the configured state, once", provisionNode,
          "railhead-agent provision --dry-run --config agent.yaml");
  provisionCommand
      ->add_option("--pod-resources", options->paths.podResources, "kubelet's pod-resources folder")
      ->capture_default_str();
  provisionCommand->add_option("--state", options->paths.state, "The agent's state folder")
      ->capture_default_str();
  provisionCommand->add_flag("--dry-run", options->dryRun, "Print the steps; change nothing");
  add("labels", "Print the node labels that the GPUs make", printLabels,
      "railhead-agent labels --json")
      ->add_flag("--json", options->json, "Print JSON");
  add("check-config", "Check a configuration file", checkConfig,
      "railhead-agent check-config --config agent.yaml");
  auto* status = add("status", "Print the running agent's state as JSON", printStatus,
                     "railhead-agent status");
  status->add_option("--state", options->paths.state, "The agent's state folder")
      ->capture_default_str();
  auto* probeCommand =
      add("probe", "Ask one agent, by its own socket, whether it lives or serves", probe,
          "railhead-agent probe ready --probe-socket /run/railhead-pod/probe.sock");
  probeCommand->add_option("what", options->probe, "live or ready")
      ->check(CLI::IsMember({"live", "ready"}))
      ->capture_default_str();
  probeCommand->add_option("--probe-socket", options->paths.probeSocket, "As given to `run`")
      ->required();
}

}  // namespace railhead::agent_app
