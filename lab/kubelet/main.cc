// railhead-lab-kubelet: the kubelet stand-in as a program of the emulated node.
#include "lab/kubelet/control.h"
#include "lab/kubelet/cri_runtime.h"
#include "lab/kubelet/direct_runtime.h"
#include "lab/kubelet/enter_pod.h"
#include "lab/kubelet/kubelet.h"
#include "src/base/text.h"
#include "src/os/host_paths.h"

#include <csignal>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <sstream>

#include <CLI/CLI.hpp>
#include <unistd.h>

namespace railhead::lab {
namespace {

struct Arguments {
  os::HostPaths paths;
  std::string state = "/run/railhead-lab-kubelet";
  std::string binFolders;
  std::string runtimeSocket;
  std::string image = "lab.railhead/node:1";
  bool withoutGet = false;
  std::string file;
  std::string pod;
  DeleteMode mode = DeleteMode::kProperly;
  std::vector<std::string> command;
  std::string resource;
  int count = 1;
  int seconds = 30;

  std::string controlSocket() const { return state + "/control.sock"; }
};

int fail(const Error& error) {
  std::cerr << "railhead-lab-kubelet: " << error.describe() << '\n';
  return static_cast<int>(exitCodeFor(error.code));
}

std::map<std::string, std::string> ownEnvironment() {
  std::map<std::string, std::string> all;
  for (char** line = environ; *line != nullptr; ++line) {
    const std::string_view text = *line;
    const auto equals = text.find('=');
    if (equals != std::string_view::npos)
      all.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return all;
}

// A node's programs are its root image's, so containers get them from there.
CriRuntime::Places criPlaces(const Arguments& arguments) {
  CriRuntime::Places places;
  places.socket = arguments.runtimeSocket;
  places.image = arguments.image;
  places.programs = {{"/usr", "/usr", true}, {"/etc/libibverbs.d", "/etc/libibverbs.d", true}};
  places.cniResults = "/var/lib/cni/results";
  return places;
}

Result<void> serve(const Arguments& arguments) {
  sigset_t wanted;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGTERM);
  sigaddset(&wanted, SIGINT);
  pthread_sigmask(SIG_BLOCK, &wanted, nullptr);  // every later thread inherits it

  RAILHEAD_TRY_ASSIGN(const auto files, os::RootedFilesystem::open("/"));
  RAILHEAD_TRY(files->makeDirectories(arguments.state, 0700));
  os::SystemProcessRunner processes;
  os::SystemClock clock;
  CniRuntime::Places places{arguments.paths.cniConfig, {}, ownEnvironment()};
  for (const auto folder : split(arguments.binFolders, ':')) places.binFolders.emplace_back(folder);
  CniRuntime cni(places, *files, processes, clock);
  NetnsSandboxMaker sandboxes(arguments.paths);
  DirectRuntime direct(cni, sandboxes);
  CriRuntime cri(criPlaces(arguments));
  KubeletOptions options;
  options.pluginsFolder = arguments.paths.kubeletPlugins;
  options.podResourcesFolder = arguments.paths.podResources;
  options.logFolder = arguments.state + "/logs";
  options.offersGet = !arguments.withoutGet;
  options.environment = ownEnvironment();
  PodRuntime& runtime = arguments.runtimeSocket.empty() ? static_cast<PodRuntime&>(direct) : cri;
  Kubelet kubelet(options, runtime);
  RAILHEAD_TRY_ASSIGN(const auto control, ControlServer::start(arguments.controlSocket(), kubelet));
  RAILHEAD_TRY(kubelet.start());
  std::cout << "serving on " << options.pluginsFolder << "/" << os::kKubeletSocket << std::endl;
  int signal = 0;
  sigwait(&wanted, &signal);
  return {};
}

Result<void> runPod(const Arguments& arguments) {
  std::string text;
  if (arguments.file == "-") {
    text.assign(std::istreambuf_iterator<char>(std::cin), {});
  } else {
    std::ifstream file(arguments.file);
    if (!file) return Error(ErrorCode::kNotFound, "pod file " + inQuotes(arguments.file, 400));
    text.assign(std::istreambuf_iterator<char>(file), {});
  }
  RAILHEAD_TRY_ASSIGN(const std::string pod, ControlClient(arguments.controlSocket()).runPod(text));
  std::cout << pod << '\n';
  return {};
}

// Becomes the command, so that its streams, signals and exit code are the caller's own.
Result<void> exec(const Arguments& arguments) {
  RAILHEAD_TRY_ASSIGN(const auto door,
                      ControlClient(arguments.controlSocket()).enter(arguments.pod));
  RAILHEAD_TRY(enterPod(door));
  for (const auto& [name, value] : door.environment) ::setenv(name.c_str(), value.c_str(), 1);
  std::vector<char*> argv;
  for (const auto& word : arguments.command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  ::execvp(argv[0], argv.data());
  return Error::fromErrno(errno, "run " + arguments.command[0]);
}

Result<void> printLog(const Arguments& arguments) {
  RAILHEAD_TRY_ASSIGN(const auto door,
                      ControlClient(arguments.controlSocket()).enter(arguments.pod));
  std::ifstream file(door.logFile);
  if (!file) {
    return Error(ErrorCode::kNotFound, "pod " + arguments.pod + " has no log: it has no command");
  }
  std::stringstream text;
  text << file.rdbuf();
  std::cout << (door.marked ? withoutMarks(text.str()) : text.str());
  return {};
}

void addServe(CLI::App& app, Arguments& arguments) {
  auto* command = app.add_subcommand("serve", "Be the kubelet of this node until SIGTERM");
  command->add_option("--plugins-dir", arguments.paths.kubeletPlugins, "Device-plugin sockets")
      ->capture_default_str();
  command->add_option("--pod-resources-dir", arguments.paths.podResources, "Pod-resources socket")
      ->capture_default_str();
  command->add_option("--cni-conf-dir", arguments.paths.cniConfig, "CNI configurations")
      ->capture_default_str();
  command->add_option("--cni-bin-dir", arguments.binFolders, "CNI plugins, ':' between folders")
      ->capture_default_str();
  command->add_option("--netns-dir", arguments.paths.netnsDirectory, "Network namespaces of pods")
      ->capture_default_str();
  command->add_option("--runtime", arguments.runtimeSocket,
                      "Socket of a container runtime (containerd) that makes the pods through CRI; "
                      "without it they are network namespaces, and CNI is called from here");
  command->add_option("--image", arguments.image, "Image of the pods' containers, with --runtime")
      ->capture_default_str();
  command->add_flag("--without-get", arguments.withoutGet,
                    "Serve pod-resources without Get, as kubelets before 1.27");
}

void addPodCommands(CLI::App& app, Arguments& arguments) {
  auto* run = app.add_subcommand(
      "run-pod",
      "Run a pod: {\"name\", \"namespace\", \"annotations\", \"resources\", \"env\", "
      "\"command\", \"capabilities\"} or a Kubernetes Pod; prints it with its CNI result");
  run->add_option("file", arguments.file, "JSON file, '-' for standard input")->required();

  auto* remove = app.add_subcommand("delete-pod", "Delete a pod: CNI DEL, then its namespace");
  remove->add_option("pod", arguments.pod, "NAME or NAMESPACE/NAME")->required();
  auto* without = remove->add_flag_callback(
      "--without-del", [&] { arguments.mode = DeleteMode::kWithoutDel; },
      "The namespace just vanishes and CNI is not told");
  remove
      ->add_flag_callback(
          "--netns-first", [&] { arguments.mode = DeleteMode::kNetnsFirst; },
          "The namespace vanishes before CNI DEL")
      ->excludes(without);

  auto* exec = app.add_subcommand("exec", "Run a command in a pod");
  exec->add_option("pod", arguments.pod, "NAME or NAMESPACE/NAME")->required();
  exec->add_option("command", arguments.command, "-- CMD ARGS...")->required();

  auto* logs = app.add_subcommand("logs", "Print what a pod's command wrote");
  logs->add_option("pod", arguments.pod, "NAME or NAMESPACE/NAME")->required();
}

void addNodeCommands(CLI::App& app, Arguments& arguments, bool& json) {
  auto* status = app.add_subcommand("status", "Allocatable devices and pods");
  status->add_flag("--json", json, "As JSON, the only form there is");
  app.add_subcommand("clean-up", "Drop the runtime's sandboxes of pods that are gone");
  app.add_subcommand("restart", "Restart kubelet: its sockets folder is emptied, pods stay");
  auto* wait = app.add_subcommand("wait", "Wait until devices are allocatable");
  wait->add_option("resource", arguments.resource, "For instance nvidia.com/cx7_qsfp")->required();
  wait->add_option("--count", arguments.count, "How many")->capture_default_str();
  wait->add_option("--timeout", arguments.seconds, "Seconds")->capture_default_str();
}

Result<void> perform(const std::string& command, const Arguments& arguments) {
  const ControlClient client(arguments.controlSocket());
  if (command == "serve") return serve(arguments);
  if (command == "run-pod") return runPod(arguments);
  if (command == "delete-pod") return client.deletePod(arguments.pod, arguments.mode);
  if (command == "exec") return exec(arguments);
  if (command == "logs") return printLog(arguments);
  if (command == "restart") return client.restart();
  if (command == "clean-up") return client.cleanUp();
  if (command == "wait") {
    return client.waitAllocatable(arguments.resource, arguments.count,
                                  std::chrono::seconds(arguments.seconds));
  }
  RAILHEAD_TRY_ASSIGN(const std::string status, client.status());
  std::cout << status << '\n';
  return {};
}

}  // namespace
}  // namespace railhead::lab

int main(int argc, char** argv) {
  using namespace railhead::lab;
  Arguments arguments;
  arguments.binFolders = arguments.paths.cniBin;
  bool json = false;
  CLI::App app("A stand-in for kubelet, for emulated nodes", "railhead-lab-kubelet");
  app.footer(
      "Example:\n  railhead-lab-kubelet serve &\n"
      "  echo '{\"name\": \"a\", \"resources\": {\"nvidia.com/cx7_qsfp\": 1}}' | "
      "railhead-lab-kubelet run-pod -");
  app.require_subcommand(1);
  app.add_option("--state-dir", arguments.state, "Control socket and logs")->capture_default_str();
  addServe(app, arguments);
  addPodCommands(app, arguments);
  addNodeCommands(app, arguments, json);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? 0 : static_cast<int>(railhead::ExitCode::kUsage);
  }
  const auto done = perform(app.get_subcommands().front()->get_name(), arguments);
  return done.has_value() ? 0 : fail(done.error());
}
