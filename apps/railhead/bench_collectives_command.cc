#include "apps/railhead/bench_collectives_command.h"

#include "apps/railhead/bench_collectives_output.h"
#include "apps/railhead/rank_launch.h"
#include "apps/railhead/rank_options.h"
#include "apps/railhead/rank_session.h"
#include "apps/railhead/user_files.h"
#include "apps/usage/values.h"
#include "src/base/text.h"
#include "src/bench/collectives/sweep.h"
#include "src/bench/collectives/sweep_json.h"
#include "src/bench/environment.h"
#include "src/os/clock.h"
#include "src/os/host_paths.h"

#include <memory>
#include <ostream>

#include <CLI/CLI.hpp>

namespace railhead::app {
namespace {

constexpr const char* kPurpose = "bench collectives " RAILHEAD_VERSION;
constexpr const char* kExamples =
    "Examples:\n"
    "  two ranks on this machine:  railhead bench collectives --on local:2\n"
    "  two nodes:                  railhead bench collectives --on ssh:spark-a,spark-b \\\n"
    "                                --operation all --max-size 1GiB --out before.json\n"
    "  was it a change:            railhead bench compare before.json after.json\n"
    "  in a cluster:               railhead bench collectives --on kubernetes --image IMAGE\n"
    "  as a rank of torchrun:      torchrun --no-python --nnodes 2 ... railhead bench collectives\n"
    "Sizes are those of the larger buffer; algbw = size / time, busbw as nccl-tests define it.\n"
    "Every byte is checked at every size, before and after it is timed.\n"
    "Exit code 3: a wrong byte; 4: a rank, a rail or a library is missing; 1: a rank died.";

struct Settings {
  RankOptions ranks;
  std::vector<std::string> operations = {"all_reduce"};
  std::vector<std::string> types = {"float32"};
  std::string place = "both";
  bench::CollectivePlan plan;
  bool json = false;
  std::string out;
};

Result<bench::CollectivePlan> planOf(const Settings& settings) {
  bench::CollectivePlan plan = settings.plan;
  plan.operations.clear();
  plan.types.clear();
  for (const auto& name : settings.operations) {
    if (name == "all") {
      const auto all = collective::allOperations();
      plan.operations.assign(all.begin(), all.end());
      break;
    }
    RAILHEAD_TRY_ASSIGN(const auto operation,
                        collective::parseOperation(name).addContext("--operation"));
    plan.operations.push_back(operation);
  }
  for (const auto& name : settings.types) {
    if (name == "all") {
      const auto all = collective::allElementTypes();
      plan.types.assign(all.begin(), all.end());
      break;
    }
    RAILHEAD_TRY_ASSIGN(const auto type, collective::parseElementType(name).addContext("--type"));
    plan.types.push_back(type);
  }
  plan.outOfPlace = settings.place != "in";
  plan.inPlace = settings.place != "out";
  RAILHEAD_TRY(plan.check());
  return plan;
}

// The same measurement as words, for the ranks that are started.
std::vector<std::string> wordsOf(const Settings& settings) {
  const auto& plan = settings.plan;
  return {"bench",
          "collectives",
          "--operation",
          join(settings.operations, ","),
          "--type",
          join(settings.types, ","),
          "--place",
          settings.place,
          "--min-size",
          std::to_string(plan.minBytes),
          "--max-size",
          std::to_string(plan.maxBytes),
          "--factor",
          std::to_string(plan.factor),
          "--precision",
          std::to_string(plan.precision),
          "--seconds-per-size",
          std::to_string(plan.secondsPerSize),
          "--call-timeout",
          std::to_string(plan.secondsPerCall),
          "--seed",
          std::to_string(plan.seed)};
}

// What rank 0 found, as JSON; the failure of a wrong byte beside it.
struct Found {
  std::string json;
  std::optional<Error> failure;
  std::string objects;  // of a dry run
};

Result<Found> runAsRank(const Settings& settings, const bench::CollectivePlan& plan,
                        Context& context) {
  RAILHEAD_TRY_ASSIGN(const auto world, collective::worldFrom(collective::processEnvironment()));
  RAILHEAD_TRY_ASSIGN(const auto session, RankSession::open(settings.ranks, world, kPurpose));
  os::SystemClock clock;
  bench::SweepProgress progress;
  if (world.rank == 0) {
    progress.end = [&](const bench::SweepLine& line) {
      context.err << kProgressMark << progressLine(line) << std::endl;
    };
  }
  auto outcome = bench::runSweep(session->communicator(), session->group(), plan, clock, progress);
  if (!outcome.has_value()) {
    // A rank that went away says more than the call that it left.
    const auto gone = session->group().failure();
    session->group().fail(outcome.error());
    return gone ? *gone : outcome.error();
  }
  outcome->report.notes = session->notes();
  const auto environment = bench::readEnvironment(session->filesystem(), os::HostPaths().sys, {});
  return Found{bench::toJson(outcome->report, environment,
                             outcome->failure ? outcome->failure->message : ""),
               outcome->failure, ""};
}

Result<Found> runOnRanks(const Settings& settings, Context& context) {
  const RankLaunch launch{wordsOf(settings), settings.ranks, [&](int rank, std::string_view line) {
                            if (!context.terminal || rank != 0) return;
                            if (!line.starts_with(kProgressMark)) return;
                            context.err << line.substr(std::string_view(kProgressMark).size())
                                        << '\n';
                          }};
  // A wrong byte is shown with what was measured up to it.
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
  } else if (const auto printed = printSweep(context.out, found.json); !printed.has_value()) {
    return fail(context, printed.error());
  }
  if (found.failure) fail(context, *found.failure);
}

void run(const Settings& settings, Context& context) {
  const auto plan = planOf(settings);
  if (!plan.has_value()) return fail(context, plan.error());
  if (const auto out = checkOut(settings.out); !out.has_value()) return fail(context, out.error());
  const bool launches = !settings.ranks.on.empty();
  if (!launches && !collective::isRank(collective::processEnvironment())) {
    return fail(context,
                Error(ErrorCode::kInvalidArgument,
                      "bench collectives: neither --on nor RANK and WORLD_SIZE say where "
                      "the ranks are",
                      "give --on local:2, or start it by torchrun, srun or an Indexed Job"));
  }
  const auto found = launches ? runOnRanks(settings, context) : runAsRank(settings, *plan, context);
  if (!found.has_value()) return fail(context, found.error());
  const auto own = collective::worldFrom(collective::processEnvironment());
  const bool speaks = launches || !own.has_value() || own->rank == 0;
  if (speaks) return show(settings, *found, context);
  // Under a launcher rank 0 tells it: another rank's failure would end rank 0 before it has.
  if (found->failure && !settings.ranks.markedResult) fail(context, *found->failure);
}

void addPlanOptions(CLI::App* command, Settings& settings) {
  auto& plan = settings.plan;
  command
      ->add_option(
          "--operation", settings.operations,
          "all_reduce, all_gather, reduce_scatter, broadcast, reduce, all_to_all, sendrecv "
          "or all; several with commas")
      ->delimiter(',')
      ->default_str("all_reduce");
  command
      ->add_option("--type", settings.types,
                   "int8, uint8, int32, int64, float16, bfloat16, float32, float64 or all")
      ->delimiter(',')
      ->default_str("float32");
  command->add_option("--min-size", plan.minBytes, "smallest size, like 8 or 1KiB")
      ->transform(usage::sizeValue())
      ->default_str("8");
  command->add_option("--max-size", plan.maxBytes, "largest size")
      ->transform(usage::sizeValue())
      ->default_str("64MiB");
  command->add_option("--factor", plan.factor, "from one size to the next")->capture_default_str();
  command->add_option("--place", settings.place, "out, in or both: whether receiving overwrites")
      ->check(CLI::IsMember({"out", "in", "both"}))
      ->capture_default_str();
  command
      ->add_option("--precision", plan.precision,
                   "half width of the 95 % interval to reach, as a share of the mean")
      ->capture_default_str();
  command->add_option("--seconds-per-size", plan.secondsPerSize, "spent on one line at most")
      ->capture_default_str();
  command
      ->add_option("--call-timeout", plan.secondsPerCall, "seconds after which one call has failed")
      ->capture_default_str();
  command->add_option("--seed", plan.seed, "of the data that is checked")->capture_default_str();
}

}  // namespace

void addBenchCollectives(CLI::App* bench, Context& context) {
  auto settings = std::make_shared<Settings>();
  auto* command = bench->add_subcommand(
      "collectives", "Measure collective operations between ranks, every byte checked");
  command->footer(kExamples);
  addRankOptions(command, settings->ranks);
  addPlanOptions(command, *settings);
  command->add_option("--out", settings->out, "also write the JSON to this file");
  command->add_flag("--json", settings->json, "print the result as JSON");
  command->final_callback([settings, &context] { run(*settings, context); });
}

}  // namespace railhead::app
