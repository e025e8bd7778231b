#include "apps/railhead/verify_command.h"

#include "apps/railhead/bench_collectives_output.h"
#include "apps/railhead/nccl_logs.h"
#include "apps/railhead/rank_launch.h"
#include "apps/railhead/rank_options.h"
#include "apps/railhead/rank_session.h"
#include "apps/railhead/user_files.h"
#include "apps/railhead/verify_log.h"
#include "apps/railhead/verify_output.h"
#include "apps/usage/values.h"
#include "src/base/text.h"
#include "src/bench/environment.h"
#include "src/bench/verbs_session.h"
#include "src/netlink/ethtool.h"
#include "src/netlink/rdma_counters.h"
#include "src/os/clock.h"
#include "src/verbs/system_verbs.h"
#include "src/verify/run/device_probe.h"
#include "src/verify/run/exercise.h"
#include "src/verify/run/judge_run.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <ostream>

#include <CLI/CLI.hpp>

namespace railhead::app {
namespace {

constexpr const char* kPurpose = "verify " RAILHEAD_VERSION;
constexpr std::size_t kMaxNcclLog = 64 << 20;
constexpr const char* kExamples =
    "Examples:\n"
    "  two nodes:        railhead verify --on ssh:spark-a,spark-b --expect rdma\n"
    "  another's run:    railhead verify --log rank0.log --log rank1.log\n"
    "  in a cluster:     railhead verify --on kubernetes --image IMAGE --expect gdr\n"
    "  emulated nodes:   railhead verify --on lab --transport verbs --line-rate 20Mbit\n"
    "  as a gate:        railhead verify --on ssh:a,b --expect rdma --min-share 0.9 --json\n"
    "Each rank sends to the next and checks what comes from the previous one. A verdict needs what "
    "the\n"
    "backend says, the counters of both ends, the GPUs' capability and the data check to agree; "
    "where\n"
    "one is missing or they do not fit it is unproven, with what to switch on.\n"
    "Exit code 3: an expectation does not hold, or a wrong byte; 4: a rank, rail or library is "
    "missing.";

struct Settings {
  RankOptions ranks;
  verify::ExercisePlan plan;
  std::string expect;
  std::optional<double> minShare;
  std::vector<std::string> lineRates;
  std::vector<std::string> logs;
  bool json = false;
  std::string out;
};

Result<verify::Expectation> expectationOf(const Settings& settings) {
  verify::Expectation out;
  if (!settings.expect.empty()) {
    RAILHEAD_TRY_ASSIGN(out.path,
                        verify::parseExpectedPath(settings.expect).addContext("--expect"));
  }
  out.minShare = settings.minShare;
  return out;
}

Result<bench::VerbsTargets> targetsOf(const Settings& settings) {
  bench::VerbsTargets targets;
  for (const auto& text : settings.lineRates) {
    RAILHEAD_TRY_ASSIGN(const auto rate, BitRate::parse(text).addContext("--line-rate"));
    targets.lineRates.push_back(rate);
  }
  return targets;
}

std::vector<std::string> wordsOf(const Settings& settings) {
  std::vector<std::string> out = {"verify",
                                  "--message",
                                  std::to_string(settings.plan.messageBytes),
                                  "--seconds",
                                  std::to_string(settings.plan.seconds),
                                  "--call-timeout",
                                  std::to_string(settings.plan.callTimeout),
                                  "--seed",
                                  std::to_string(settings.plan.seed)};
  for (const auto& rate : settings.lineRates) out.insert(out.end(), {"--line-rate", rate});
  if (!settings.expect.empty()) out.insert(out.end(), {"--expect", settings.expect});
  if (settings.minShare) {
    out.insert(out.end(), {"--min-share", std::to_string(*settings.minShare)});
  }
  return out;
}

// What every rail together can carry; absent when one of them is not known.
void addCeiling(RankSession& session, const bench::VerbsTargets& targets,
                verify::RankAccount& account) {
  const auto& devices = session.devices();
  const auto environment =
      bench::readEnvironment(session.filesystem(), os::HostPaths().sys, devices);
  std::vector<bench::Ceiling> ceilings;
  for (std::size_t i = 0; i < devices.size(); ++i) {
    const auto ceiling =
        bench::ceilingOf(devices[i], environment.devices[i], devices[i].activeMtu, targets, i);
    if (!ceiling) return;
    ceilings.push_back(*ceiling);
  }
  if (ceilings.empty()) return;
  const auto together = bench::together(ceilings);
  account.ceilingGbps = together.rate.gbps();
  account.ceilingExplanation = together.explanation;
}

// What the driver says of this rank's GPU, and whether the kernel has peer memory.
void addGpu(RankSession& session, verify::RankAccount& account) {
  if (session.nccl() == nullptr) return;
  const auto& device = session.nccl()->device();
  account.gpu = verify::GpuAttributes{device.gpuDirectRdma, device.dmaBuf, device.integrated};
  account.peermem = session.filesystem().exists(os::HostPaths().sys + "/module/nvidia_peermem");
}

// With the NIC and the GPU alone, before NCCL's data moves.
Result<void> addProbe(RankSession& session, verify::RankAccount& account) {
  verbs::SystemVerbs verbs;
  std::optional<verify::ProbedGpu> gpu;
  if (session.nccl() != nullptr) {
    const auto& context = session.nccl()->context();
    gpu.emplace(verify::ProbedGpu{
        session.communicator().memory(),
        [&context](std::uint64_t address, std::size_t bytes) {
          return context.exportDmabuf(address, bytes);
        },
        [&context](std::uint64_t address) { return context.orderWithRemoteAccess(address); },
        [&context] { return context.flushRemoteWrites(); }});
  }
  RAILHEAD_TRY_ASSIGN(auto probed,
                      verify::probeDevice(session.group(), verbs, gpu ? &*gpu : nullptr));
  account.probe = std::move(probed.result);
  if (gpu && !account.probe) account.notes.push_back("no device-memory probe: " + probed.why);
  return {};
}

Result<void> addLog(RankSession& session, verify::RankAccount& account) {
  if (session.nccl() == nullptr || session.ncclLog() == nullptr) return {};
  RAILHEAD_TRY_ASSIGN(const auto log, session.ncclLog()->log(kMaxNcclLog));
  account.log = verify::evidenceLines(log, verify::kMaxEvidenceLines);
  RAILHEAD_TRY_ASSIGN(account.topology, session.ncclLog()->topology(verify::kMaxTopologyDump));
  return {};
}

Result<verify::RankAccount> account(RankSession& session, const Settings& settings,
                                    const bench::VerbsTargets& targets) {
  verify::RankAccount out;
  const auto description = session.communicator().describe();
  out.backend = description.name + " " + description.version;
  out.device = description.device;
  out.hostBuffers = session.communicator().memory().kind() == collective::MemoryKind::kHost;
  addGpu(session, out);
  out.railsOpened = session.opened();
  out.notes = session.notes();
  addCeiling(session, targets, out);
  RAILHEAD_TRY(addProbe(session, out));
  os::SystemClock clock;
  const auto driver = netlink::openDriverCounters();
  const auto rdma = netlink::openRdmaCounters();
  verify::ExerciseNode node{
      session.filesystem(), os::HostPaths(), driver.get(), clock, {}, rdma.get()};
  for (const auto& device : session.devices()) {
    const auto gid = std::find_if(device.gids.begin(), device.gids.end(),
                                  [](const auto& entry) { return !entry.netdev.empty(); });
    node.rails.push_back({device.name, gid->netdev});
  }
  RAILHEAD_TRY(verify::exercise(session.communicator(), session.group(), settings.plan, node, out));
  RAILHEAD_TRY(addLog(session, out));
  return out;
}

struct Found {
  std::string json;
  std::optional<Error> failure;
  std::string objects;
};

Error notAsExpected(const verify::VerifyReport& report) {
  const auto& remedies = report.expected.remedies;
  return Error(ErrorCode::kCheckFailed, join(report.expected.failures, "; "),
               remedies.empty() ? "see the findings and the evidence of each direction"
                                : join(remedies, "; "));
}

Result<Found> runAsRank(const Settings& settings) {
  RAILHEAD_TRY_ASSIGN(const auto targets, targetsOf(settings));
  RAILHEAD_TRY_ASSIGN(const auto world, collective::worldFrom(collective::processEnvironment()));
  if (world.ranks < 2) {
    return Error(ErrorCode::kInvalidArgument, "verify: one rank has no path to judge",
                 "start two or more: --on local:2, WORLD_SIZE=2");
  }
  RAILHEAD_TRY_ASSIGN(const auto session, RankSession::open(settings.ranks, world, kPurpose,
                                                            RankSession::NcclLog::kCaptured));
  auto own = account(*session, settings, targets);
  if (!own.has_value()) {
    const auto gone = session->group().failure();
    session->group().fail(own.error());
    return gone ? *gone : own.error();
  }
  verify::VerifyReport report;
  RAILHEAD_TRY_ASSIGN(report.ranks, verify::exchangeAccounts(session->group(), *own));
  report.judgements = verify::judgeRun(report.ranks);
  RAILHEAD_TRY_ASSIGN(report.expectation, expectationOf(settings));
  const bool asked = !settings.expect.empty() || settings.minShare.has_value();
  if (asked) report.expected = verify::check(report.judgements, report.expectation);
  for (const auto& rank : report.ranks) {
    if (rank.elementsWrong == 0) continue;
    report.expected.holds = false;
    report.expected.failures.push_back(rank.name() + ": " + std::to_string(rank.elementsWrong) +
                                       " wrong bytes arrived");
  }
  Found out{verify::toJson(report), std::nullopt, ""};
  if (!report.expected.holds) out.failure = notAsExpected(report);
  return out;
}

Result<Found> runOnRanks(const Settings& settings, Context& context) {
  const RankLaunch launch{wordsOf(settings), settings.ranks, {}};
  Found found;
  auto launched = launchRanks(launch, context, &found.json);
  if (!launched.has_value()) {
    if (found.json.empty()) return launched.error();
    found.failure = launched.error();
    return found;
  }
  found.json = std::move(launched->result);
  found.objects = std::move(launched->objects);
  return found;
}

void show(const Settings& settings, const Found& found, Context& context) {
  if (!found.objects.empty()) {
    context.out << found.objects;
    return;
  }
  if (!settings.out.empty()) {
    const auto written = writeResult(settings.out, found.json);
    if (!written.has_value()) return fail(context, written.error());
  }
  if (settings.ranks.markedResult) {
    context.out << kResultMark << oneLine(found.json) << std::endl;
  } else if (settings.json) {
    context.out << found.json << '\n';
  } else if (const auto printed = printVerify(context.out, found.json); !printed.has_value()) {
    return fail(context, printed.error());
  }
  if (found.failure) fail(context, *found.failure);
}

void runOnLogs(const Settings& settings, Context& context) {
  verify::NcclLog log;
  std::vector<std::string> silent;
  if (const auto read = readNcclLogs(settings.logs, log, &silent); !read.has_value())
    return fail(context, read.error());
  if (silent.size() < settings.logs.size()) {
    for (const auto& path : silent)
      context.err << "note: " << path << ": no line of NCCL's is in it\n";
  }
  const auto told = checkTold(log).addContext("--log " + join(settings.logs, ", "));
  const std::string json = verifyLogJson(log, settings.logs);
  if (!settings.out.empty()) {
    const auto written = writeResult(settings.out, json);
    if (!written.has_value()) return fail(context, written.error());
  }
  if (settings.json) {
    context.out << json << '\n';
  } else if (log.statistics().messages > 0) {
    if (const auto printed = printVerifyLog(context.out, json); !printed.has_value())
      return fail(context, printed.error());
  }
  if (!told.has_value()) fail(context, told.error());
}

void run(const Settings& settings, Context& context) {
  if (const auto out = checkOut(settings.out); !out.has_value()) return fail(context, out.error());
  if (!settings.logs.empty()) return runOnLogs(settings, context);
  if (const auto expectation = expectationOf(settings); !expectation.has_value()) {
    return fail(context, expectation.error());
  }
  if (const auto targets = targetsOf(settings); !targets.has_value()) {
    return fail(context, targets.error());
  }
  const bool launches = !settings.ranks.on.empty();
  if (!launches && !collective::isRank(collective::processEnvironment())) {
    return fail(
        context,
        Error(
            ErrorCode::kInvalidArgument,
            "verify: neither --on nor RANK and WORLD_SIZE say where the ranks are",
            "give --on local:2 or ssh:HOST,HOST, or start it by torchrun, srun or an Indexed Job"));
  }
  const auto found = launches ? runOnRanks(settings, context) : runAsRank(settings);
  if (!found.has_value()) return fail(context, found.error());
  const auto own = collective::worldFrom(collective::processEnvironment());
  const bool speaks = launches || !own.has_value() || own->rank == 0;
  if (speaks) return show(settings, *found, context);
  // Under a launcher rank 0 tells it: another rank's failure would end rank 0 before it has.
  if (found->failure && !settings.ranks.markedResult) fail(context, *found->failure);
}

}  // namespace

void addVerifyCommand(CLI::App& app, Context& context) {
  auto settings = std::make_shared<Settings>();
  auto* command = app.add_subcommand("verify", "Say which path the bytes took, with the evidence");
  command->footer(kExamples);
  addRankOptions(command, settings->ranks);
  command->add_option("--expect", settings->expect,
                      "gdr or rdma: what every direction must have been, else exit code 3");
  command
      ->add_option("--min-share", settings->minShare,
                   "of the ceiling that must be reached, like 0.9")
      ->check(usage::realRange(0.0, 1.0));
  command->add_option("--line-rate", settings->lineRates,
                      "rate of each rail's link, or once per rail, where the device does not tell");
  command->add_option("--message", settings->plan.messageBytes, "bytes of one call, like 4MiB")
      ->transform(usage::sizeValue())
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1} << 40))
      ->default_str("4MiB");
  command->add_option("--seconds", settings->plan.seconds, "of moving data, about")
      ->check(usage::realRange(0.1, 3600.0))
      ->capture_default_str();
  command
      ->add_option("--call-timeout", settings->plan.callTimeout,
                   "seconds after which one call has failed")
      ->check(usage::realRange(0.1, 3600.0))
      ->capture_default_str();
  command->add_option("--seed", settings->plan.seed, "of the data that is checked")
      ->capture_default_str();
  auto* logs = command->add_option("--log", settings->logs,
                                   "no ranks: what NCCL's log of another run says; repeatable");
  command->add_option("--out", settings->out, "also write the JSON to this file");
  command->add_flag("--json", settings->json, "print the result as JSON");
  for (CLI::Option* other : command->get_options()) {
    const bool both = other == logs || other->check_name("--out") || other->check_name("--json") ||
                      other->check_name("--help");
    if (!both) logs->excludes(other);
  }
  command->final_callback([settings, &context] { run(*settings, context); });
}

}  // namespace railhead::app
