#include "apps/railhead/rank_launch.h"

#include "apps/railhead/cluster_ranks.h"
#include "apps/railhead/lab_ranks.h"
#include "apps/usage/signal_fd.h"
#include "src/base/text.h"
#include "src/launch/commands.h"
#include "src/launch/gang.h"
#include "src/launch/kubernetes/follow.h"
#include "src/launch/placement.h"
#include "src/os/host_paths.h"
#include "src/os/tcp.h"

#include <memory>
#include <ostream>
#include <random>
#include <utility>

namespace railhead::app {
namespace {

// Where nobody named a port: hosts behind ssh cannot be asked for a free one.
constexpr std::uint16_t kRemotePort = 29471;
// Of a local gang: none that the kernel gives to connections by default, of which one may have it
// before rank 0, and none of a Kubernetes node's.
constexpr std::uint16_t kFirstPort = 20'000;
constexpr unsigned kPorts = 10'000;
constexpr int kPortsTried = 64;
// For a cluster to pull the image and start the pods.
constexpr int kPodSeconds = 300;

ErrorCode classOf(int exitCode) {
  switch (static_cast<ExitCode>(exitCode)) {
    case ExitCode::kUsage:
      return ErrorCode::kInvalidArgument;
    case ExitCode::kCheckFailed:
      return ErrorCode::kCheckFailed;
    case ExitCode::kEnvironment:
      return ErrorCode::kEnvironment;
    default:
      return ErrorCode::kUnavailable;
  }
}

Error noObjects() {
  return {ErrorCode::kInvalidArgument, "--dry-run: only --on kubernetes has objects to show"};
}

// The ranks of a place, and what must live as long as they run.
struct Placed {
  bool bySsh = false;
  std::vector<launch::RankCommand> commands;
  std::string objects;  // of a dry run, instead
  std::unique_ptr<LabRanks> lab;
  std::unique_ptr<ClusterRanks> cluster;
};

Result<Placed> placeInCluster(const RankOptions& options, const std::string& context,
                              const launch::RankProgram& program) {
  RAILHEAD_TRY_ASSIGN(const auto job, clusterJob(options, program));
  Placed out;
  if (options.dryRun) {
    RAILHEAD_TRY_ASSIGN(out.objects, launch::renderJob(job));
    return out;
  }
  const auto kubectl = kubectlFor(options, context);
  RAILHEAD_TRY_ASSIGN(out.cluster, ClusterRanks::create(kubectl, job));
  out.commands = launch::followCommands(kubectl, job, kPodSeconds);
  return out;
}

Result<Placed> placeInLab(const RankOptions& options, const launch::RankProgram& program,
                          Context& context) {
  Placed out;
  RAILHEAD_TRY_ASSIGN(out.lab, LabRanks::open(context, options.lab, [&](const std::string& what) {
                        if (context.terminal) context.err << what << std::endl;
                      }));
  out.commands = out.lab->commands(program);
  return out;
}

launch::RankProgram programOf(const std::vector<std::string>& command, const RankOptions& options,
                              int slot) {
  launch::RankProgram program;
  program.argv = command;
  const auto words = rankArguments(options);
  program.argv.insert(program.argv.end(), words.begin(), words.end());
  program.token = launch::newToken();
  program.masterPort = static_cast<std::uint16_t>(kRemotePort + slot);
  return program;
}

Result<Placed> place(const RankLaunch& launch, Context& context) {
  RAILHEAD_TRY_ASSIGN(const auto placement, launch::Placement::parse(launch.options.on));
  using Kind = launch::Placement::Kind;
  if (launch.options.dryRun && placement.kind != Kind::kKubernetes) return noObjects();
  launch::RankProgram program = programOf(launch.command, launch.options, 0);
  if (placement.kind == Kind::kLab) return placeInLab(launch.options, program, context);
  program.argv.insert(program.argv.begin(),
                      placement.kind == Kind::kLocal ? context.program : "railhead");
  Placed out;
  switch (placement.kind) {
    case Kind::kLocal: {
      RAILHEAD_TRY_ASSIGN(program.masterPort, freeLocalPort());
      out.commands = launch::localCommands(placement.ranks, program);
      break;
    }
    case Kind::kSsh:
      out.commands = launch::sshCommands(placement.hosts, program);
      out.bySsh = true;
      break;
    case Kind::kKubernetes:
      return placeInCluster(launch.options, placement.context, program);
    case Kind::kLab:
      break;  // above
  }
  return out;
}

// The last marked line; a cluster's log holds rank 0's other words as well.
std::string resultIn(std::string_view output) {
  std::string_view found;
  for (const auto line : split(output, '\n')) {
    if (line.starts_with(kResultMark)) found = line.substr(std::string_view(kResultMark).size());
  }
  return std::string(found);
}

}  // namespace

Result<std::uint16_t> freeLocalPort() {
  RAILHEAD_TRY_ASSIGN(auto any, os::Endpoint::parse("127.0.0.1:0"));
  std::random_device random;
  for (int tried = 0; tried < kPortsTried; ++tried) {
    any.port = static_cast<std::uint16_t>(kFirstPort + random() % kPorts);
    if (os::listenTcp(any).has_value()) return any.port;
  }
  any.port = 0;
  RAILHEAD_TRY_ASSIGN(const auto listener, os::listenTcp(any));
  RAILHEAD_TRY_ASSIGN(const auto bound, os::boundEndpoint(listener.get()));
  return bound.port;
}

RankPlace::RankPlace(const RankOptions& options, std::string program)
    : options_(options), program_(std::move(program)) {}
RankPlace::~RankPlace() = default;

Result<std::string> RankPlace::render(const RankOptions& options, const Settings& settings) {
  RAILHEAD_TRY_ASSIGN(const auto placement, launch::Placement::parse(options.on));
  if (placement.kind != launch::Placement::Kind::kKubernetes) return noObjects();
  return ClusterPool::render(options, {settings.lifetime, {}, -1});
}

Result<std::unique_ptr<RankPlace>> RankPlace::open(const RankOptions& options, Context& context,
                                                   const Settings& settings) {
  std::unique_ptr<RankPlace> out(new RankPlace(options, context.program));
  RAILHEAD_TRY_ASSIGN(out->placement_, launch::Placement::parse(options.on));
  if (out->placement_.kind == launch::Placement::Kind::kKubernetes) {
    if (context.terminal) context.err << "waiting for " << options.ranks << " pods" << std::endl;
    RAILHEAD_TRY_ASSIGN(out->cluster_, ClusterPool::open(options, out->placement_.context,
                                                         {settings.lifetime, settings.stopped,
                                                          settings.interruptFd}));
  }
  if (out->placement_.kind == launch::Placement::Kind::kLab) {
    RAILHEAD_TRY_ASSIGN(out->lab_, LabRanks::open(
                                       context, options.lab,
                                       [&](const std::string& what) {
                                         if (context.terminal) context.err << what << std::endl;
                                       },
                                       {}, settings.interruptFd));
  }
  return out;
}

Result<std::vector<launch::RankCommand>> RankPlace::commands(
    const std::vector<std::string>& command, int slot) const {
  auto program = programOf(command, options_, slot);
  if (lab_ != nullptr) return lab_->commands(program, true);
  if (placement_.kind == launch::Placement::Kind::kSsh) {
    program.argv.insert(program.argv.begin(), "railhead");
    return launch::sshCommands(placement_.hosts, program);
  }
  if (cluster_ != nullptr) {
    program.argv.insert(program.argv.begin(), "railhead");
    return cluster_->commands(program);
  }
  program.argv.insert(program.argv.begin(), program_);
  RAILHEAD_TRY_ASSIGN(program.masterPort, freeLocalPort());
  return launch::localCommands(placement_.ranks, program);
}

Result<Launched> launchRanks(const RankLaunch& launch, Context& context, std::string* partial) {
  RAILHEAD_TRY_ASSIGN(const auto placed, place(launch, context));
  if (!placed.objects.empty()) return Launched{"", placed.objects};
  const usage::SignalFd signals;
  launch::GangSettings settings;
  settings.interruptFd = signals.get();
  settings.onLine = launch.onLine;
  RAILHEAD_TRY_ASSIGN(auto end,
                      launch::runGang(placed.commands, settings, os::HostPaths().dev + "/null"));
  if (const int signal = signals.take(); signal != 0) {
    context.exitCode = static_cast<ExitCode>(128 + signal);
    return Error(ErrorCode::kUnavailable, "interrupted");
  }
  std::string result = resultIn(end.ranks.front().output);
  if (end.ok()) return Launched{std::move(result), ""};
  if (partial != nullptr) *partial = std::move(result);
  for (const auto& rank : end.ranks) {
    if (rank.rank != end.failed) continue;
    if (placed.bySsh && rank.exitCode == launch::kSshFailed)
      return Error(ErrorCode::kEnvironment, end.reason(), launch::kTrySsh);
    return Error(classOf(rank.exitCode), end.reason(), end.remedy());
  }
  return Error(ErrorCode::kUnavailable, end.reason());
}

}  // namespace railhead::app
