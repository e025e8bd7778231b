#include "apps/railhead/lab_command.h"

#include "apps/railhead/image_path.h"
#include "apps/railhead/lab_output.h"
#include "apps/usage/signal_fd.h"
#include "apps/usage/values.h"
#include "lab/client/lab_client.h"
#include "lab/keeper/keeper.h"
#include "lab/keeper/keeper_messages.h"
#include "src/base/text.h"

#include <cctype>
#include <csignal>
#include <memory>
#include <ostream>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace railhead::app {
namespace {

// Options that several of the commands share.
struct Common {
  std::string name = lab::kDefaultLab;
  bool json = false;
};

CLI::App* addPart(CLI::App* command, const std::string& name, const std::string& what,
                  const std::string& examples, const std::shared_ptr<Common>& common) {
  auto* part = command->add_subcommand(name, what);
  part->footer("Examples:\n" + examples);
  part->add_option("--lab", common->name,
                   "name of the lab; labs of different names run side by side")
      ->capture_default_str();
  return part;
}

// That no lab runs is something the environment lacks.
void failLab(Context& context, Error error) {
  if (error.code == ErrorCode::kNotFound) error.code = ErrorCode::kEnvironment;
  fail(context, error);
}

struct UpSettings {
  std::string topology = "two-sparks";
  lab::LabOptions lab;
  unsigned deadline = 60;
};

void runUp(const UpSettings& settings, const Common& common, Context& context) {
  const auto topology = lab::loadTopology(settings.topology);
  if (!topology) return fail(context, topology.error());
  lab::LabOptions options = settings.lab;
  options.name = common.name;
  options.readyDeadline = std::chrono::seconds(settings.deadline);
  options.keeper = {context.program, "lab", "keeper"};
  if (!options.share.empty()) {
    auto share = usage::absolutePath(options.share).addContext("--share");
    if (!share) return fail(context, share.error());
    options.share = std::move(*share);
  }
  options.imageDirectory = imagePath(settings.lab.imageDirectory, context.program);
  const usage::SignalFd interrupt;
  options.cancelFd = interrupt.get();
  const auto up = lab::LabClient::up(*topology, options, [&](const lab::BootEvent& event) {
    if (context.terminal) context.err << bootLine(event) << '\n' << std::flush;
  });
  if (!up) {
    failLab(context, up.error());
    if (const int signal = interrupt.take(); signal != 0) {
      context.exitCode = static_cast<ExitCode>(128 + signal);
    }
    return;
  }
  const auto status = up->client.status();
  if (!status) return failLab(context, status.error());
  if (common.json) {
    context.out << lab::statusJson(*status) << '\n';
    return;
  }
  context.out << "lab " << topology->name << (up->reused ? " is up already" : " is up") << ": "
              << status->nodes.size() << " nodes, " << status->links.size() << " links\n";
}

void addUp(CLI::App* command, Context& context) {
  auto common = std::make_shared<Common>();
  auto settings = std::make_shared<UpSettings>();
  auto* part = addPart(command, "up", "Boot the nodes of a topology and wait until they are ready",
                       "  railhead lab up\n  railhead lab up --topology four-nodes\n"
                       "  railhead lab up --topology ./mine.yaml --deadline 120\n"
                       "  railhead lab up --share .",
                       common);
  part->add_option("--topology", settings->topology,
                   join(lab::builtinTopologies(), ", ") + ", or a file")
      ->capture_default_str();
  part->add_option("--image", settings->lab.imageDirectory,
                   "folder of the nodes' image (default: the one ./dev build made)")
      ->envname("RAILHEAD_LAB_IMAGE");
  part->add_option("--accel", settings->lab.accelerator, "tcg (everywhere) or kvm")
      ->check(CLI::IsMember({"tcg", "kvm"}))
      ->capture_default_str();
  part->add_option("--qemu", settings->lab.qemu, "QEMU to run")->capture_default_str();
  part->add_option("--share", settings->lab.share,
                   "folder of this machine that every node has at /run/share");
  part->add_option("--deadline", settings->deadline, "seconds the nodes may take")
      ->capture_default_str()
      ->check(CLI::Range(1, 3600));
  part->add_flag("--json", common->json, "print the status as JSON");
  part->final_callback([common, settings, &context] { runUp(*settings, *common, context); });
}

void addStatus(CLI::App* command, Context& context) {
  auto common = std::make_shared<Common>();
  auto* part = addPart(command, "status", "Show nodes and links",
                       "  railhead lab status\n  railhead lab status --json", common);
  part->add_flag("--json", common->json, "print JSON");
  part->final_callback([common, &context] {
    const auto client = lab::LabClient::connect(common->name);
    if (!client) return failLab(context, client.error());
    const auto status = client->status();
    if (!status) return failLab(context, status.error());
    if (common->json) {
      context.out << lab::statusJson(*status) << '\n';
    } else {
      context.out << statusText(*status);
    }
  });
}

struct ExecSettings {
  std::string node;
  std::vector<std::string> argv;
  std::vector<std::string> env;
  bool input = false;
};

Result<std::map<std::string, std::string>> environmentOf(const std::vector<std::string>& words) {
  std::map<std::string, std::string> env;
  for (const auto& word : words) {
    const auto equals = word.find('=');
    if (equals == 0 || equals == std::string::npos) {
      return Error(ErrorCode::kInvalidArgument,
                   "--env is " + inQuotes(word) + "; allowed: NAME=VALUE");
    }
    env[word.substr(0, equals)] = word.substr(equals + 1);
  }
  return env;
}

void execForJson(const lab::LabClient& client, const ExecSettings& settings,
                 std::map<std::string, std::string> env, Context& context) {
  lab::ExecOptions options;
  options.env = std::move(env);
  options.deadline = std::chrono::hours(1);
  const auto result = client.exec(settings.node, settings.argv, options);
  if (!result) return failLab(context, result.error());
  const nlohmann::json json{{"node", settings.node},
                            {"exit_code", result->exitCode},
                            {"stdout", result->output},
                            {"stderr", result->errorOutput}};
  context.out << json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << '\n';
  context.exitCode = static_cast<ExitCode>(result->exitCode);
}

void runExec(const ExecSettings& settings, const Common& common, Context& context) {
  auto env = environmentOf(settings.env);
  if (!env) return fail(context, env.error());
  const auto client = lab::LabClient::connect(common.name);
  if (!client) return failLab(context, client.error());
  if (common.json) return execForJson(*client, settings, std::move(*env), context);
  const usage::SignalFd signals;
  lab::ExecStreams streams;
  streams.env = std::move(*env);
  streams.output = [&](std::string_view bytes) {
    context.out << bytes << std::flush;
    if (context.out) return;
    // The reader went away ("... | head"): end as a command in a pipe does, and the keeper ends the
    // remote one.
    std::signal(SIGPIPE, SIG_DFL);
    std::raise(SIGPIPE);
  };
  streams.errorOutput = [&](std::string_view bytes) { context.err << bytes << std::flush; };
  streams.signalFd = signals.get();
  if (settings.input) streams.inputFd = STDIN_FILENO;
  const auto code = client->execStreaming(settings.node, settings.argv, streams);
  if (!code) return failLab(context, code.error());
  context.exitCode = static_cast<ExitCode>(*code);
}

void addExec(CLI::App* command, Context& context) {
  auto common = std::make_shared<Common>();
  auto settings = std::make_shared<ExecSettings>();
  auto* part = addPart(command, "exec", "Run a command in a node; its exit code is passed on",
                       "  railhead lab exec spark-a -- ip -br link\n"
                       "  railhead lab exec -i spark-b -- sh < script.sh",
                       common);
  part->add_option("node", settings->node, "node to run it in")->required();
  part->add_option("command", settings->argv, "the command and its arguments, after --")
      ->required();
  part->add_option("--env", settings->env, "NAME=VALUE for the command; may be repeated")
      ->allow_extra_args(
          false)  // one value each time: the words behind it are the node and the command
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  auto* input = part->add_flag("-i,--stdin", settings->input, "pass standard input on");
  part->add_flag("--json", common->json, "print exit code, stdout and stderr as JSON at the end")
      ->excludes(input);
  part->final_callback([common, settings, &context] { runExec(*settings, *common, context); });
}

// A node's firmware clears the screen and sets modes: not those of who reads its console.
std::string withoutEscapes(std::string_view text) {
  constexpr char kEscape = 0x1b;
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != kEscape) {
      if (text[i] == '\n' || text[i] == '\t' || static_cast<unsigned char>(text[i]) >= ' ')
        out += text[i];
      continue;
    }
    // ESC and one character, or ESC [ up to a letter.
    if (++i < text.size() && text[i] == '[') {
      while (++i < text.size() && !std::isalpha(static_cast<unsigned char>(text[i]))) {
      }
    }
  }
  return out;
}

void addLogs(CLI::App* command, Context& context) {
  auto common = std::make_shared<Common>();
  auto node = std::make_shared<std::string>();
  auto bytes = std::make_shared<std::size_t>(64 * 1024);
  auto* part =
      addPart(command, "logs", "Show what a node wrote on its console",
              "  railhead lab logs spark-a\n  railhead lab logs spark-a --bytes 4096", common);
  part->add_option("node", *node, "the node")->required();
  part->add_option("--bytes", *bytes, "at most so many from the end (kept: 256 KiB)")
      ->capture_default_str();
  part->final_callback([common, node, bytes, &context] {
    const auto client = lab::LabClient::connect(common->name);
    if (!client) return failLab(context, client.error());
    const auto text = client->logs(*node, *bytes);
    if (!text) return failLab(context, text.error());
    context.out << withoutEscapes(*text);
  });
}

struct LinkSettings {
  std::string link;
  bool cut = false;
  bool restore = false;
  std::string rate;
  double loss = -1;
};

Result<lab::LinkChange> linkChange(const LinkSettings& settings) {
  lab::LinkChange change;
  if (settings.cut) change.cut = true;
  if (settings.restore) change.cut = false;
  if (settings.loss >= 0) change.lossPercent = settings.loss;
  if (settings.rate.empty()) return change;
  const auto rate = BitRate::parse(settings.rate);
  if (!rate || rate->bitsPerSecond < lab::TopologyLimits::kMinRate ||
      rate->bitsPerSecond > lab::TopologyLimits::kMaxRate) {
    return Error(ErrorCode::kInvalidArgument, "--rate is " + inQuotes(settings.rate) +
                                                  "; allowed: 100kbit to 100Gbit, like 40Mbit");
  }
  change.rate = *rate;
  return change;
}

void addLink(CLI::App* command, Context& context) {
  auto common = std::make_shared<Common>();
  auto settings = std::make_shared<LinkSettings>();
  auto* part = addPart(command, "link", "Cut, restore, slow down or disturb a link while it runs",
                       "  railhead lab link rail0 --cut\n  railhead lab link rail0 --restore\n"
                       "  railhead lab link rail1 --rate 5Mbit --loss 0.5",
                       common);
  part->add_option("link", settings->link, "the link; see railhead lab status")->required();
  auto* cut = part->add_flag("--cut", settings->cut, "pull the cable: no carrier on any side");
  part->add_flag("--restore", settings->restore, "plug it in again")->excludes(cut);
  part->add_option("--rate", settings->rate, "of each direction, like 40Mbit");
  part->add_option("--loss", settings->loss, "percent of frames to lose")
      ->check(usage::realRange(0.0, 100.0));
  part->add_flag("--json", common->json, "print JSON");
  part->final_callback([common, settings, &context] {
    const auto change = linkChange(*settings);
    if (!change) return fail(context, change.error());
    const auto client = lab::LabClient::connect(common->name);
    if (!client) return failLab(context, client.error());
    const auto link = client->setLink(settings->link, *change);
    if (!link) return failLab(context, link.error());
    context.out << (common->json ? lab::linkJson(*link) : linkText(*link)) << '\n';
  });
}

void addDown(CLI::App* command, Context& context) {
  auto common = std::make_shared<Common>();
  auto* part = addPart(command, "down", "End the lab; nothing of it stays behind",
                       "  railhead lab down", common);
  part->final_callback([common, &context] {
    const auto client = lab::LabClient::connect(common->name);
    const auto down = client ? client->down() : Result<void>(client.error());
    if (!down && down.error().code == ErrorCode::kNotFound) {
      context.out << "no lab is running\n";
    } else if (!down) {
      failLab(context, down.error());
    } else {
      context.out << "the lab is down\n";
    }
  });
}

// What `up` starts; not for people.
void addKeeper(CLI::App* command, Context& context) {
  auto fd = std::make_shared<int>(-1);
  auto* part = command->add_subcommand("keeper", "Keep a lab alive (started by `up`)");
  part->group("");
  part->add_option("fd", *fd, "descriptor of the socket to the starter")->required();
  part->final_callback(
      [fd, &context] { context.exitCode = lab::runKeeper(os::UniqueFd(*fd), os::HostPaths()); });
}

}  // namespace

void addLabCommand(CLI::App& app, Context& context) {
  auto* command =
      app.add_subcommand("lab", "Emulated nodes with SR-IOV NICs and RoCE, on this machine");
  command->footer("Example:\n  railhead lab up && railhead lab exec spark-a -- ip -br link");
  command->require_subcommand(0, 1);
  addUp(command, context);
  addStatus(command, context);
  addExec(command, context);
  addLogs(command, context);
  addLink(command, context);
  addDown(command, context);
  addKeeper(command, context);
}

}  // namespace railhead::app
