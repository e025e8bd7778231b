#include "apps/railhead/train_show.h"

#include "apps/railhead/train_document.h"
#include "apps/railhead/train_output.h"
#include "apps/railhead/train_run.h"
#include "src/base/text.h"
#include "src/base/units.h"
#include "src/report/terminal/style.h"
#include "src/report/terminal/table.h"
#include "src/report/terminal/text_width.h"

#include <cstdio>
#include <memory>
#include <ostream>

#include <CLI/CLI.hpp>
#include <unistd.h>

namespace railhead::app {
namespace {

struct Settings {
  std::string runs = "runs";
  std::string run;
  bool json = false;
};

void printSplit(std::ostream& out, const SplitSums& sums) {
  if (sums.steps == 0 || sums.seconds <= 0) return;
  std::string parts;
  const auto add = [&](const std::optional<double>& part, const char* what) {
    if (!part) return;
    char text[64];
    std::snprintf(text, sizeof text, "%.0f %% %s", *part / sums.seconds * 100, what);
    parts += (parts.empty() ? "" : ", ") + std::string(text);
  };
  add(sums.parts.compute, "computing");
  add(sums.parts.exposed, "waiting for the network");
  add(sums.parts.data, "waiting for data");
  add(sums.parts.hidden, "communication behind computing");
  out << "  a step takes " << formatSeconds(sums.seconds / static_cast<double>(sums.steps)) << ": "
      << parts << '\n';
}

void printStands(std::ostream& out, const train::Manifest& manifest) {
  out << "  " << manifest.place.ranks << (manifest.place.ranks == 1 ? " rank" : " ranks") << " on "
      << report::printable(manifest.place.on) << ", seed " << manifest.seed << '\n';
  out << "  command: " << report::printable(join(manifest.command, " ")) << '\n';
  if (!manifest.code.revision.empty()) {
    out << "  code: " << report::printable(manifest.code.revision)
        << (manifest.code.modified ? ", with changes" : "") << '\n';
  }
  for (const auto& data : manifest.data)
    out << "  data: " << report::printable(data.path) << ", " << formatBytes(data.bytes) << ", "
        << data.sha256 << '\n';
  if (!manifest.profile.empty())
    out << "  profile: " << report::printable(manifest.profile) << '\n';
  if (manifest.verdict)
    out << "  verdict before it: " << report::printable(manifest.verdict->verdict) << '\n';
  if (!manifest.replayOf.empty())
    out << "  replay of " << report::printable(manifest.replayOf) << '\n';
}

void printAttempts(std::ostream& out, const train::Manifest& manifest) {
  using report::Align;
  report::Table table({{"start", Align::kRight},
                       {"from step", Align::kRight},
                       {"seconds", Align::kRight},
                       {"end"},
                       {"reason"}});
  for (const auto& attempt : manifest.attempts) {
    char seconds[32];
    std::snprintf(seconds, sizeof seconds, "%.1f", attempt.seconds);
    table.addRow({std::to_string(attempt.number), std::to_string(attempt.fromStep.value_or(0)),
                  seconds, attempt.end, attempt.reason});
  }
  table.print(out, report::detectStyle(STDOUT_FILENO, report::processEnvironment));
}

Result<void> show(const Settings& settings, Context& context) {
  RAILHEAD_TRY_ASSIGN(const auto folder, runNamed(settings.run, settings.runs));
  RAILHEAD_TRY_ASSIGN(ReadRun run, readRun(folder));
  if (settings.json) {
    context.out << trainDocument(run.manifest, run.series, run.state) << '\n';
    return {};
  }
  run.manifest.state = run.state;
  printRun(context.out, folder.path(), run.manifest);
  printSplit(context.out, splitSums(run.series.steps()));
  printStands(context.out, run.manifest);
  printAttempts(context.out, run.manifest);
  return {};
}

}  // namespace

void addTrainShow(CLI::App* train, Context& context) {
  auto settings = std::make_shared<Settings>();
  auto* command = train->add_subcommand("show", "Show what a run is and what came of it");
  command->footer(
      "Examples:\n  railhead train show pair-0001\n"
      "  railhead train show pair-0001 --json >pair.json\n"
      "railhead report RUN --out report.html draws it.");
  command->add_option("run", settings->run, "a run's folder, or its name below --runs")->required();
  command->add_option("--runs", settings->runs, "the folder of runs")->capture_default_str();
  command->add_flag("--json", settings->json, "print manifest and steps as one JSON document");
  command->final_callback([settings, &context] {
    const auto done = show(*settings, context);
    if (!done.has_value()) fail(context, done.error());
  });
}

}  // namespace railhead::app
