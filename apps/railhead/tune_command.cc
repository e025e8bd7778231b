#include "apps/railhead/tune_command.h"

#include "apps/railhead/rank_options.h"
#include "apps/railhead/tune_gang.h"
#include "apps/railhead/tune_grid_command.h"
#include "apps/railhead/tune_hold_command.h"
#include "apps/railhead/tune_knobs.h"
#include "apps/railhead/tune_options.h"
#include "apps/railhead/tune_output.h"
#include "apps/railhead/tune_profile_command.h"
#include "apps/railhead/tune_rank_command.h"
#include "apps/railhead/tune_records.h"
#include "apps/railhead/tune_sizes.h"
#include "apps/railhead/user_files.h"
#include "apps/usage/signal_fd.h"
#include "apps/usage/values.h"
#include "src/base/text.h"
#include "src/os/clock.h"
#include "src/report/terminal/live_line.h"
#include "src/tune/search.h"

#include <memory>
#include <ostream>
#include <utility>

#include <CLI/CLI.hpp>

namespace railhead::app {
namespace {

constexpr const char* kExamples =
    "Examples:\n"
    "  two nodes:             railhead tune --on ssh:spark-a,spark-b --minutes 30 --out "
    "profile.yaml\n"
    "  go on after Ctrl-C:    railhead tune --on ssh:spark-a,spark-b --resume search.jsonl\n"
    "  for a training run:    railhead tune --on ssh:a,b --objective histogram=sizes.txt\n"
    "  beside its compute:    railhead tune --on ssh:a,b --objective overlapped\n"
    "  in a cluster:          railhead tune --on kubernetes --image REGISTRY/railhead:TAG\n"
    "  emulated nodes:        railhead tune --on lab --backend host --max-size 1MiB\n"
    "  look, compare, apply:  railhead tune show profile.yaml; railhead tune diff old.yaml "
    "new.yaml\n"
    "                         railhead tune apply profile.yaml --to /etc/railhead/profile\n"
    "Starts from the default and accepts only what is faster beyond doubt; every call is checked "
    "byte "
    "by\n"
    "byte and has a deadline. What hangs, crashes or gives wrong bytes is never tried again. "
    "Ctrl-C "
    "keeps\n"
    "the best so far as an estimate and the records for --resume; a second one ends at once.\n"
    "Exit code 3: the default itself fails; 4: a rank, rail or library is missing; 1: no ranks.";

constexpr std::chrono::minutes kBesideTheSearch{30};

struct Settings {
  RankOptions ranks;
  RankTuneOptions tuning;
  TuneSizes sizes;
  KnobWords knobs;
  std::string objective = "bandwidth";
  double minutes = 10;
  tune::SearchOptions search;
  std::string resume, records, out;
  bool json = false;
};

// The first signal ends the search soon, the second at once; before it there is nothing to keep.
class Stop {
 public:
  bool asked() { return look() > 0; }
  bool givenUp() { return look() > (searching_ ? 1 : 0); }
  void beginSearch() { searching_ = true; }
  int signal() const { return signal_; }
  int fd() const { return signals_.get(); }

 private:
  int look() {
    for (int signal = signals_.take(); signal != 0; signal = signals_.take()) {
      signal_ = signal;
      ++count_;
    }
    return count_;
  }
  usage::SignalFd signals_;
  int count_ = 0;
  int signal_ = 0;
  bool searching_ = false;
};

Result<tune::SearchResult> searchOn(const Settings& settings, tune::GangBench& bench,
                                    const tune::GangFacts& facts, const tune::Objective& objective,
                                    Stop& stop, Context& context) {
  RAILHEAD_TRY_ASSIGN(const tune::Space space, narrowedBy(settings.knobs, facts.space()));
  const auto header = tune::headerOf(space, objective, settings.search.seed, fabricText(facts));
  std::vector<tune::TrialRecord> before;
  if (!settings.resume.empty()) {
    RAILHEAD_TRY_ASSIGN(before, readRecords(settings.resume, header).addContext("--resume"));
  }
  const std::string path = settings.records.empty() ? settings.resume : settings.records;
  RAILHEAD_TRY_ASSIGN(auto records, RecordsFile::open(path, settings.resume, header, before));
  report::LiveLine line(context.err, progressStyle(context));
  os::SystemClock clock;
  tune::SearchHooks hooks;
  hooks.seconds = [&] {
    return std::chrono::duration<double>(clock.now().time_since_epoch()).count();
  };
  hooks.stopped = [&] { return stop.asked(); };
  hooks.keep = [&](const tune::TrialRecord& record) { return records.add(record); };
  hooks.progress = [&](const tune::Progress& progress) { line.show(tuneProgressLine(progress)); };
  tune::SearchOptions options = settings.search;
  options.budget.seconds = settings.minutes * 60;
  stop.beginSearch();
  return tune::search(space, objective, bench, options, hooks, std::move(before));
}

// Of pods that the search has for itself: its time, and what starting, the last measurement and the
// pull of an image take beside it.
std::chrono::seconds lifetimeOf(const Settings& settings) {
  return std::chrono::seconds(static_cast<std::int64_t>(settings.minutes * 60)) + kBesideTheSearch;
}

Result<TuneReport> tuneThere(const Settings& settings, Stop& stop, Context& context) {
  const auto givenUp = [&] { return stop.givenUp(); };
  RAILHEAD_TRY_ASSIGN(
      const auto place,
      RankPlace::open(settings.ranks, context, {lifetimeOf(settings), givenUp, stop.fd()}));
  auto words = settings.tuning.words(settings.ranks);
  if (settings.objective.starts_with("histogram="))
    words.insert(words.end(), {"--size-option", "--objective " + settings.objective});
  TuneGangStarter starter(*place, std::move(words), givenUp);
  os::SystemClock clock;
  tune::GangBench bench(starter, clock, settings.tuning.benchSettings(settings.ranks));
  RAILHEAD_TRY_ASSIGN(auto facts, bench.open());
  RAILHEAD_TRY_ASSIGN(auto objective,
                      objectiveOf(settings.objective, settings.sizes, facts.platform.ranks));
  RAILHEAD_TRY_ASSIGN(auto result, searchOn(settings, bench, facts, objective, stop, context));
  return TuneReport{std::move(facts),
                    std::move(objective),
                    std::move(result),
                    settings.search.seed,
                    std::nullopt,
                    "",
                    settings.records.empty() ? settings.resume : settings.records,
                    bench.work()};
}

Result<void> keepProfile(const Settings& settings, TuneReport& report) {
  if (!report.result.isSettled()) return {};
  RAILHEAD_TRY_ASSIGN(report.profile, tune::makeProfile(report.facts.fabric, report.objective,
                                                        report.result, report.seed));
  if (settings.out.empty()) return {};
  RAILHEAD_TRY_ASSIGN(const std::string yaml, tune::writeProfile(*report.profile));
  RAILHEAD_TRY(writeText(settings.out, yaml).addContext("--out"));
  report.profilePath = settings.out;
  return {};
}

void run(const Settings& settings, Context& context) {
  if (const auto kind = parseTuneObjective(settings.objective); !kind.has_value())
    return fail(context, kind.error());
  if (const auto out = checkOut(settings.out); !out.has_value()) return fail(context, out.error());
  if (settings.ranks.on.empty()) {
    return fail(context,
                Error(ErrorCode::kInvalidArgument, "tune: no --on says where the ranks are",
                      "give --on local:2, ssh:HOST,HOST, lab or kubernetes"));
  }
  if (settings.ranks.dryRun) {
    const auto objects = RankPlace::render(settings.ranks, {lifetimeOf(settings), {}, -1});
    if (!objects.has_value()) return fail(context, objects.error());
    context.out << *objects;
    return;
  }
  Stop stop;
  auto report = tuneThere(settings, stop, context);
  if (report.has_value()) {
    if (const auto kept = keepProfile(settings, *report); !kept.has_value())
      fail(context, kept.error());
    if (settings.json) {
      context.out << toJson(*report) << '\n';
    } else {
      printTune(context.out, *report);
    }
  } else {
    fail(context, report.error());
  }
  (void)stop.asked();  // also of one that ended what was starting
  if (stop.signal() == 0) return;
  context.exitCode = static_cast<ExitCode>(128 + stop.signal());
  if (report.has_value() && !report->result.isSettled()) {
    context.err << "railhead: interrupted: the best so far is not validated, and no profile was "
                   "written\n";
    if (!report->recordsPath.empty())
      context.err << "  remedy: go on with --resume " << report->recordsPath << '\n';
  }
}

void addSearchOptions(CLI::App* command, Settings& settings) {
  command
      ->add_option(
          "--objective", settings.objective,
          "bandwidth (sizes from 1 MiB), latency (up to 64 KiB), histogram=FILE (lines "
          "of OPERATION BYTES COUNT), overlapped (a call and compute beside it, until both "
          "are done)")
      ->capture_default_str();
  command->add_option("--minutes", settings.minutes, "for the search, its fresh run included")
      ->check(usage::realRange(0.01, 10080.0))
      ->capture_default_str();
  command->add_option("--trials", settings.search.budget.trials, "at most")
      ->check(CLI::Range(tune::Budget::kMinTrials, std::uint64_t{tune::kMaxRecords}))
      ->capture_default_str();
  command->add_option("--repetitions", settings.search.repetitions, "of each measurement")
      ->check(CLI::Range(1, tune::kMaxOrderRepetitions))
      ->capture_default_str();
  command->add_option("--restarts", settings.search.restarts, "from elsewhere in the space")
      ->check(CLI::Range(0, 100))
      ->capture_default_str();
  command->add_option("--seed", settings.search.seed, "of the search's course")
      ->capture_default_str();
  command->add_option("--resume", settings.resume,
                      "go on from these records, and add to them unless --records names another "
                      "file");
  command->add_option("--records", settings.records,
                      "write each measurement to this file as it is taken");
  command->add_option("--out", settings.out, "write the profile to this file");
  command->add_flag("--json", settings.json, "print the result as JSON");
}

}  // namespace

void addTuneCommand(CLI::App& app, Context& context) {
  auto settings = std::make_shared<Settings>();
  auto* command = app.add_subcommand(
      "tune", "Find settings that beat the default, prove it, and keep them as a profile");
  command->footer(kExamples);
  command->require_subcommand(0);
  addRankOptions(command, settings->ranks);
  settings->tuning.addTo(command, context.program);
  settings->sizes.addTo(command);
  addSearchOptions(command, *settings);
  addKnobOption(command, settings->knobs);
  addTuneProfileCommands(command, context);
  addTuneGrid(command, context);
  addTuneRank(command, context);
  addTuneHold(command, context);
  command->final_callback([settings, command, &context] {
    if (command->get_subcommands().empty()) run(*settings, context);
  });
}

}  // namespace railhead::app
