#include "apps/railhead/status_command.h"

#include "apps/railhead/node_answers.h"
#include "apps/railhead/status_view.h"
#include "src/os/clock.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <ostream>
#include <sstream>

#include <CLI/CLI.hpp>
#include <unistd.h>

namespace railhead::app {
namespace {

constexpr std::chrono::seconds kPause{1};

struct Options {
  os::HostPaths paths;
  std::string lab;
  bool cluster = false;
  ClusterOptions kubernetes;
  bool json = false;
  bool watch = false;
};

Result<std::vector<NodeAnswer>> ask(const Options& options) {
  const std::vector<std::string> command{"railhead-agent", "status"};
  if (!options.lab.empty()) return askLab(options.lab, options.kubernetes.nodes, command);
  if (options.cluster || !options.kubernetes.nodes.empty()) {
    os::SystemProcessRunner processes;
    return askCluster(processes, options.kubernetes, command);
  }
  return askThisNode(options.paths);
}

// What came of asking, for people; nothing where nobody could be asked.
std::optional<std::string> screenOf(const Options& options, Context& context,
                                    const report::TerminalStyle& style) {
  const auto asked = ask(options);
  if (!asked.has_value()) {
    fail(context, asked.error());
    return std::nullopt;
  }
  const auto answers = checkedAnswers(*asked);
  const auto silent = std::count_if(answers.begin(), answers.end(),
                                    [](const auto& answer) { return !answer.problem.empty(); });
  context.exitCode = silent == 0                                   ? ExitCode::kOk
                     : silent == static_cast<long>(answers.size()) ? ExitCode::kEnvironment
                                                                   : ExitCode::kFailed;
  if (options.json) return statusToJson(answers) + "\n";
  std::ostringstream screen;
  printStatus(screen, answers, style);
  return screen.str();
}

void show(const Options& options, Context& context) {
  const auto style = report::detectStyle(STDOUT_FILENO, report::processEnvironment);
  const auto first = screenOf(options, context, style);
  context.out << first.value_or("");
  // Later whoever is away may come again.
  if (!options.watch || !first) return;
  os::SystemClock clock;
  // Until Ctrl-C, or until nobody reads any more.
  while (context.out.flush()) {
    clock.sleepFor(kPause);
    const std::string screen = screenOf(options, context, style).value_or("");
    if (style.terminal && !options.json) context.out << "\033[H\033[2J";
    context.out << screen;
  }
}

}  // namespace

void addStatusCommand(CLI::App& app, Context& context) {
  auto options = std::make_shared<Options>();
  auto* command = app.add_subcommand(
      "status", "Nodes, links, twins, devices with their health, and who holds them");
  command->footer(
      "Example:\n  railhead status                      # this node, as root\n"
      "  railhead status --cluster --watch    # every agent, through kubectl\n"
      "  railhead status --lab default");
  command->add_option("--state", options->paths.state, "The agent's state folder, on this node")
      ->capture_default_str();
  auto* cluster = command->add_flag("--cluster", options->cluster, "Ask every agent with kubectl");
  command->add_option("--lab", options->lab, "Ask the nodes of an emulated cluster")
      ->excludes(cluster);
  command->add_option("--node", options->kubernetes.nodes,
                      "Only this node of the cluster or lab; may be repeated");
  command->add_option("--namespace", options->kubernetes.podNamespace, "Of the agents' pods")
      ->capture_default_str();
  command->add_option("--selector", options->kubernetes.selector, "Labels of the agents' pods")
      ->capture_default_str();
  command->add_option("--kubectl", options->kubernetes.kubectl, "kubectl to use")
      ->capture_default_str();
  command->add_flag("--watch", options->watch,
                    "Again every second, until Ctrl-C; not when nobody can be asked at first");
  command->add_flag("--json", options->json, "Print JSON, one line each time");
  command->final_callback([options, &context] { show(*options, context); });
}

}  // namespace railhead::app
