#include "apps/railhead/bench_collectives_command.h"
#include "apps/railhead/bench_collectives_output.h"
#include "apps/railhead/user_files.h"
#include "apps/usage/values.h"
#include "src/bench/collectives/compare.h"
#include "src/bench/collectives/sweep_json.h"

#include <memory>
#include <ostream>

#include <CLI/CLI.hpp>

namespace railhead::app {
namespace {

struct Settings {
  std::string before;
  std::string after;
  double threshold = 0.02;
  bool json = false;
};

Result<bench::SweepSummary> load(const std::string& path) {
  RAILHEAD_TRY_ASSIGN(const auto text, readResult(path));
  auto sweep = bench::parseSweep(text).addContext(path);
  if (sweep.has_value()) return sweep;
  // What the user named is bad input, whatever is wrong in it.
  return Error(ErrorCode::kInvalidArgument, sweep.error().message,
               "give files written by railhead bench collectives --out FILE");
}

void run(const Settings& settings, Context& context) {
  const auto before = load(settings.before);
  if (!before.has_value()) return fail(context, before.error());
  const auto after = load(settings.after);
  if (!after.has_value()) return fail(context, after.error());
  const auto comparison = bench::compareSweeps(*before, *after, settings.threshold);
  if (comparison.lines.empty()) {
    return fail(context,
                Error(ErrorCode::kInvalidArgument,
                      settings.before + " and " + settings.after + " have no line in common",
                      "compare runs of the same operations, types and sizes"));
  }
  if (settings.json) {
    context.out << bench::toJson(comparison) << '\n';
  } else {
    printComparison(context.out, comparison);
  }
  if (comparison.slower > 0) {
    fail(context, Error(ErrorCode::kCheckFailed, std::to_string(comparison.slower) + " of " +
                                                     std::to_string(comparison.lines.size()) +
                                                     " lines are slower than before"));
  }
}

}  // namespace

void addBenchCompare(CLI::App* bench, Context& context) {
  auto settings = std::make_shared<Settings>();
  auto* command =
      bench->add_subcommand("compare", "Say per size whether two results really differ");
  command->footer(
      "Example:\n  railhead bench compare before.json after.json\n"
      "A line counts as changed when a Mann-Whitney U test over its samples, corrected for the "
      "number\n"
      "of lines (Holm), gives p < 0.01 and the medians differ by more than --threshold.\n"
      "Exit code 3: a line is slower than before; 2: a file is no such result, or cut off; 1: it "
      "cannot be read.");
  command->add_option("before", settings->before, "JSON of bench collectives")->required();
  command->add_option("after", settings->after, "JSON of bench collectives")->required();
  command->add_option("--threshold", settings->threshold, "change of the median to mind")
      ->check(usage::realRange(0.0, 10.0))
      ->capture_default_str();
  command->add_flag("--json", settings->json, "print the comparison as JSON");
  command->final_callback([settings, &context] { run(*settings, context); });
}

}  // namespace railhead::app
