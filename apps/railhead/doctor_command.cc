#include "apps/railhead/doctor_command.h"

#include "apps/railhead/doctor_output.h"
#include "apps/railhead/nccl_logs.h"
#include "apps/railhead/node_answers.h"
#include "apps/railhead/user_files.h"
#include "apps/usage/values.h"
#include "src/base/text.h"
#include "src/gpu/cuda/cuda.h"
#include "src/os/process.h"
#include "src/verify/doctor/check.h"

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <ostream>

#include <CLI/CLI.hpp>
#include <unistd.h>

namespace railhead::app {
namespace {

namespace doctor = verify::doctor;

constexpr const char* kExamples =
    "Examples:\n"
    "  this node, or from inside a pod:  railhead doctor\n"
    "  every node of the cluster:        railhead doctor --cluster\n"
    "  after a run:                      railhead doctor --log rank0.log --log rank1.log\n"
    "  before one:                       railhead doctor --planned 16GiB\n"
    "  the emulated nodes:               railhead doctor --lab default\n"
    "  one check in a script:            railhead doctor --check no-ipv4-gid --json\n"
    "Exit code 3: something is broken or degraded. A notice alone is 0; --list shows every check.";

struct Settings {
  std::string place = "auto";
  std::vector<std::string> logs, rates, checks;
  std::uint64_t planned = 0;
  std::string lab;
  bool cluster = false;
  ClusterOptions kubernetes;
  bool list = false, all = false, json = false;
  std::string out;
};

doctor::Place placeOf(const Settings& settings) {
  if (settings.place != "auto")
    return settings.place == "pod" ? doctor::Place::kPod : doctor::Place::kNode;
  // Kubernetes sets it in every container.
  const bool pod =
      std::getenv("KUBERNETES_SERVICE_HOST") != nullptr;  // NOLINT(concurrency-mt-unsafe)
  return pod ? doctor::Place::kPod : doctor::Place::kNode;
}

std::string hostName() {
  char name[256] = "";
  return ::gethostname(name, sizeof name - 1) == 0 ? name : "";
}

Result<void> checkNames(const std::vector<std::string>& names) {
  for (const auto& name : names) {
    const auto all = doctor::checks();
    if (std::any_of(all.begin(), all.end(), [&](const auto& check) { return check.id == name; }))
      continue;
    return Error(ErrorCode::kInvalidArgument, "--check " + inQuotes(name) + ": no such check",
                 "railhead doctor --list shows them all");
  }
  return {};
}

Result<void> checkDevice(const std::string& device, const std::vector<doctor::Port>& ports) {
  std::vector<std::string> names;
  for (const auto& port : ports) names.push_back(port.device);
  if (std::find(names.begin(), names.end(), device) != names.end()) return {};
  return Error(
      ErrorCode::kInvalidArgument, "--rail-rate " + inQuotes(device) + ": no such RDMA device here",
      names.empty() ? "there is none: leave --rail-rate out" : "those here: " + join(names, ", "));
}

// "mlx5_0=97Gbit"
Result<void> addRates(const std::vector<std::string>& texts, doctor::Patient& patient) {
  for (const auto& text : texts) {
    const auto equals = text.find('=');
    if (equals == 0 || equals == std::string::npos)
      return Error(ErrorCode::kInvalidArgument,
                   "--rail-rate " + inQuotes(text) + ": expected DEVICE=RATE, like mlx5_0=97Gbit");
    RAILHEAD_TRY_ASSIGN(const auto rate,
                        BitRate::parse(text.substr(equals + 1)).addContext("--rail-rate"));
    const std::string device = text.substr(0, equals);
    RAILHEAD_TRY(checkDevice(device, patient.ports));
    patient.railRates.emplace_back(device, rate);
  }
  return {};
}

std::optional<verify::GpuAttributes> firstGpu() {
  const auto opening = gpu::cuda::Cuda::open();
  if (!opening.has_value() || !opening->cuda) return std::nullopt;
  const auto devices = opening->cuda->devices();
  if (!devices.has_value() || devices->empty()) return std::nullopt;
  const auto& device = devices->front();
  return verify::GpuAttributes{device.gpuDirectRdma, device.dmaBuf, device.integrated};
}

Result<std::string> examineHere(const Settings& settings) {
  RAILHEAD_TRY_ASSIGN(const auto files, os::RootedFilesystem::open("/"));
  const auto place = placeOf(settings);
  // The agent knows which PFs are twins where they do not tell.
  discover::TwinRules twins;
  if (place == doctor::Place::kNode) {
    const auto agent = askThisNode(os::HostPaths());
    if (agent.has_value()) twins = twinsOf(agent->front().json);
  }
  RAILHEAD_TRY_ASSIGN(auto patient, doctor::examine(*files, os::HostPaths(), place, twins));
  verify::NcclLog log;
  RAILHEAD_TRY(readNcclLogs(settings.logs, log));
  if (!settings.logs.empty() && log.statistics().messages == 0) {
    return Error(ErrorCode::kInvalidArgument,
                 "--log " + join(settings.logs, ", ") + ": no line of NCCL's is in it",
                 "run with NCCL_DEBUG=INFO, and keep what each rank prints");
  }
  if (!settings.logs.empty()) patient.log = &log;
  RAILHEAD_TRY(addRates(settings.rates, patient));
  if (settings.planned > 0) patient.plannedBytes = settings.planned;
  patient.gpu = firstGpu();
  auto results = doctor::runChecks(patient);
  if (!settings.checks.empty()) {
    std::erase_if(results, [&](const auto& result) {
      return std::find(settings.checks.begin(), settings.checks.end(), result.id) ==
             settings.checks.end();
    });
  }
  return doctorJson(hostName(), place, results);
}

Result<std::string> examine(const Settings& settings) {
  std::vector<std::string> command{"railhead", "doctor", "--json", "--place", "node"};
  for (const auto& check : settings.checks) command.insert(command.end(), {"--check", check});
  if (settings.planned > 0)
    command.insert(command.end(), {"--planned", std::to_string(settings.planned)});
  const bool far = !settings.lab.empty() || settings.cluster || !settings.kubernetes.nodes.empty();
  if (far && (!settings.logs.empty() || !settings.rates.empty() || settings.place != "auto")) {
    return Error(ErrorCode::kInvalidArgument,
                 "--log, --rail-rate and --place are of this machine alone",
                 "leave out --cluster, --lab and --node, and run it where they belong");
  }
  if (!settings.lab.empty()) {
    RAILHEAD_TRY_ASSIGN(const auto answers,
                        askLab(settings.lab, settings.kubernetes.nodes, command));
    return joinedDoctorJson(answers);
  }
  if (settings.cluster || !settings.kubernetes.nodes.empty()) {
    os::SystemProcessRunner processes;
    RAILHEAD_TRY_ASSIGN(const auto answers, askCluster(processes, settings.kubernetes, command));
    return joinedDoctorJson(answers);
  }
  return examineHere(settings);
}

void list(std::ostream& out, bool json) {
  if (json) {
    out << checkListJson() << '\n';
    return;
  }
  for (const auto& check : doctor::checks()) {
    out << check.id
        << std::string(std::max<std::size_t>(20, check.id.size() + 1) - check.id.size(), ' ')
        << check.looksFor << '\n';
  }
}

void run(const Settings& settings, Context& context) {
  if (settings.list) return list(context.out, settings.json);
  if (const auto names = checkNames(settings.checks); !names.has_value())
    return fail(context, names.error());
  const auto document = examine(settings);
  if (!document.has_value()) return fail(context, document.error());
  if (!settings.out.empty()) {
    if (const auto written = writeResult(settings.out, *document); !written.has_value())
      return fail(context, written.error());
  }
  const auto tally = tallyOf(*document);
  if (!tally.has_value()) return fail(context, tally.error());
  if (settings.json) {
    context.out << *document << '\n';
  } else {
    const auto style = report::detectStyle(STDOUT_FILENO, report::processEnvironment);
    const auto printed = printDoctor(context.out, *document, settings.all, style);
    if (!printed.has_value()) return fail(context, printed.error());
  }
  if (tally->broken + tally->degraded > 0) {
    context.exitCode = ExitCode::kCheckFailed;
  } else if (tally->silent > 0) {
    context.exitCode = tally->silent == tally->nodes ? ExitCode::kEnvironment : ExitCode::kFailed;
  }
}

void addPlaces(CLI::App* command, Settings& settings) {
  command->add_option("--place", settings.place, "what to look at: a node, or the pod this runs in")
      ->check(CLI::IsMember({"auto", "node", "pod"}))
      ->capture_default_str();
  auto* cluster =
      command->add_flag("--cluster", settings.cluster, "every node with an agent, with kubectl");
  command->add_option("--lab", settings.lab, "the nodes of an emulated cluster")->excludes(cluster);
  command->add_option("--node", settings.kubernetes.nodes,
                      "only this node of the cluster or lab; may be repeated");
  command->add_option("--namespace", settings.kubernetes.podNamespace, "of the agents' pods")
      ->capture_default_str();
  command->add_option("--selector", settings.kubernetes.selector, "labels of the agents' pods")
      ->capture_default_str();
  command->add_option("--kubectl", settings.kubernetes.kubectl, "kubectl to use")
      ->capture_default_str();
}

}  // namespace

void addDoctorCommand(CLI::App& app, Context& context) {
  auto settings = std::make_shared<Settings>();
  auto* command = app.add_subcommand(
      "doctor", "What makes a node slower than it could be, or silent, with the remedy");
  command->footer(kExamples);
  addPlaces(command, *settings);
  command
      ->add_option("--log", settings->logs, "NCCL's log of a run here (NCCL_DEBUG=INFO); repeated")
      ->check(CLI::ExistingFile);
  command->add_option("--rail-rate", settings->rates,
                      "what a rail alone was measured at, DEVICE=RATE; repeated");
  command->add_option("--planned", settings->planned, "bytes of all buffers of a test, like 16GiB")
      ->transform(usage::sizeValue());
  auto* check = command->add_option("--check", settings->checks, "only this check; repeated");
  auto* list =
      command->add_flag("--list", settings->list, "every check, and nothing else")->excludes(check);
  command->add_flag("--all", settings->all, "also what is well, and why a check could not look");
  command->add_option("--out", settings->out, "also write the JSON to this file")->excludes(list);
  command->add_flag("--json", settings->json, "print JSON");
  command->final_callback([settings, &context] { run(*settings, context); });
}

}  // namespace railhead::app
