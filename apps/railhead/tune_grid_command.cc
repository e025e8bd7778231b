#include "apps/railhead/tune_grid_command.h"

#include "apps/railhead/rank_options.h"
#include "apps/railhead/tune_gang.h"
#include "apps/railhead/tune_knobs.h"
#include "apps/railhead/tune_options.h"
#include "apps/railhead/tune_output.h"
#include "apps/railhead/tune_sizes.h"
#include "apps/railhead/user_files.h"
#include "apps/usage/signal_fd.h"
#include "src/base/statistics.h"
#include "src/os/clock.h"
#include "src/report/terminal/live_line.h"
#include "src/tune/grid.h"

#include <memory>
#include <ostream>

#include <CLI/CLI.hpp>

namespace railhead::app {
namespace {

constexpr const char* kExamples =
    "Example:\n"
    "  railhead tune grid --on local:2 --backend host --max-size 1MiB --knob algorithm --knob "
    "segment --out grid.json\n"
    "Measures every setting of the named knobs, each at every size, one after the other; what "
    "hangs, crashes\n"
    "or gives wrong bytes is kept as such. No search and no proof: railhead tune has both.";

constexpr std::chrono::hours kLongestGrid{24};

struct Settings {
  RankOptions ranks;
  RankTuneOptions tuning;
  TuneSizes sizes;
  KnobWords knobs;
  int repetitions = 10;
  bool overlapped = false;
  std::string out;
};

Result<tune::Grid> gridThere(const Settings& settings, std::string& about, Context& context) {
  const usage::SignalFd signals;
  const auto stopped = untilSignal(signals, context);
  const auto place =
      RankPlace::open(settings.ranks, context, {kLongestGrid, stopped, signals.get()});
  if (!place.has_value()) {
    (void)stopped();  // a signal may have ended it
    return place.error();
  }
  TuneGangStarter starter(**place, settings.tuning.words(settings.ranks), stopped);
  os::SystemClock clock;
  tune::GangBench bench(starter, clock, settings.tuning.benchSettings(settings.ranks));
  RAILHEAD_TRY_ASSIGN(const auto facts, bench.open());
  about = fabricText(facts);
  RAILHEAD_TRY_ASSIGN(const tune::Space space, narrowedBy(settings.knobs, facts.space()));
  RAILHEAD_TRY_ASSIGN(const auto sizes,
                      sizesFor(settings.sizes, facts.platform.ranks, settings.overlapped));
  tune::GridHooks hooks{stopped, {}};
  report::LiveLine line(context.err, progressStyle(context));
  hooks.progress = [&](std::size_t done, std::size_t all) {
    line.show(std::to_string(done) + " of " + std::to_string(all) + " settings");
  };
  return tune::measureGrid(space, sizes, bench, settings.repetitions, hooks);
}

// For each size the fastest, by its median; settings that failed are none.
void printGrid(std::ostream& out, const tune::Grid& grid) {
  std::size_t failed = 0;
  for (const auto& entry : grid.entries)
    failed += entry.measurement.outcome == tune::Outcome::kMeasured ? 0 : 1;
  out << grid.entries.size() << " settings measured, " << failed << " of them failed\n";
  for (std::size_t i = 0; i < grid.sizes.size(); ++i) {
    const tune::Grid::Entry* best = nullptr;
    double least = 0;
    for (const auto& entry : grid.entries) {
      if (entry.measurement.outcome != tune::Outcome::kMeasured) continue;
      const double seconds = summarize(entry.measurement.seconds[i]).median;
      if (best != nullptr && seconds >= least) continue;
      best = &entry;
      least = seconds;
    }
    if (best == nullptr) continue;
    out << "  " << grid.sizes[i].operation << ' ' << grid.sizes[i].bytes
        << (grid.sizes[i].overlapped ? " bytes and compute: " : " bytes: ") << least * 1e6
        << " us with " << best->setting.text();
    if (grid.entries.front().measurement.outcome == tune::Outcome::kMeasured)
      out << ", default " << summarize(grid.entries.front().measurement.seconds[i]).median * 1e6
          << " us";
    out << '\n';
  }
}

void run(const Settings& settings, Context& context) {
  if (settings.ranks.on.empty()) {
    return fail(context,
                Error(ErrorCode::kInvalidArgument, "tune grid: no --on says where the ranks are",
                      "give --on local:2, ssh:HOST,HOST, lab or kubernetes"));
  }
  if (settings.ranks.dryRun) {
    const auto objects = RankPlace::render(settings.ranks, {kLongestGrid, {}});
    if (!objects.has_value()) return fail(context, objects.error());
    context.out << *objects;
    return;
  }
  if (const auto out = checkOut(settings.out); !out.has_value()) return fail(context, out.error());
  std::string about;
  const auto grid = gridThere(settings, about, context);
  if (!grid.has_value()) return fail(context, grid.error());
  const auto written = writeText(settings.out, tune::encode(*grid, about)).addContext("--out");
  if (!written.has_value()) return fail(context, written.error());
  printGrid(context.out, *grid);
}

}  // namespace

void addTuneGrid(CLI::App* tune, Context& context) {
  auto settings = std::make_shared<Settings>();
  auto* command = tune->add_subcommand("grid", "Measure every setting of some knobs");
  command->footer(kExamples);
  addRankOptions(command, settings->ranks);
  settings->tuning.addTo(command, context.program);
  settings->sizes.addTo(command);
  addKnobOption(command, settings->knobs);
  command->add_option("--repetitions", settings->repetitions, "of each measurement")
      ->check(CLI::Range(1, tune::kMaxOrderRepetitions))
      ->capture_default_str();
  command->add_flag("--overlapped", settings->overlapped,
                    "time each call with compute beside it that takes as long as the default's "
                    "call: until both are done");
  command->add_option("--out", settings->out, "write the grid to this file, JSON")->required();
  command->callback([settings, &context] { run(*settings, context); });
}

}  // namespace railhead::app
