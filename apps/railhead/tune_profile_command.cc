#include "apps/railhead/tune_profile_command.h"

#include "apps/railhead/rank_options.h"
#include "apps/railhead/tune_apply.h"
#include "apps/railhead/tune_gang.h"
#include "apps/railhead/tune_options.h"
#include "apps/railhead/tune_output.h"
#include "apps/railhead/user_files.h"
#include "apps/usage/values.h"
#include "src/tune/export.h"

#include <memory>
#include <ostream>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

namespace railhead::app {
namespace {

constexpr std::size_t kMaxProfile = 4 << 20;
constexpr const char* kFabricHelp =
    "With --on the ranks there are started first: exit code 3 when the profile is of another "
    "fabric, "
    "with\nthe field that differs.";

struct ShowSettings {
  std::string file;
  RankOptions ranks;  // with --on: compare the fabric there
  RankTuneOptions tuning;
  bool json = false;
};
struct DiffSettings {
  std::string before, after;
  bool json = false;
};
struct ExportSettings {
  std::string file, format, out;
  std::string name = "railhead-profile";
  std::string space;
};
struct ApplySettings {
  ShowSettings show;
  std::string folder;
  bool rollback = false;
};

Result<tune::Profile> readProfile(const std::string& file) {
  RAILHEAD_TRY_ASSIGN(const std::string text, readText(file, kMaxProfile));
  return tune::parseProfile(text, file);
}

// With --on: only a profile of the fabric there.
Result<tune::Profile> profileFor(const ShowSettings& settings, Context& context) {
  RAILHEAD_TRY_ASSIGN(auto profile, readProfile(settings.file));
  if (settings.ranks.on.empty()) return profile;
  RAILHEAD_TRY_ASSIGN(const auto facts, fabricThere(settings.ranks, settings.tuning, context));
  RAILHEAD_TRY(tune::matches(profile, facts.fabric));
  return profile;
}

void show(const ShowSettings& settings, Context& context) {
  const auto profile = profileFor(settings, context);
  if (!profile.has_value()) return fail(context, profile.error());
  if (settings.json) {
    context.out << profileJson(*profile) << '\n';
  } else {
    printProfile(context.out, *profile);
  }
}

void diff(const DiffSettings& settings, Context& context) {
  const auto before = readProfile(settings.before);
  if (!before.has_value()) return fail(context, before.error());
  const auto after = readProfile(settings.after);
  if (!after.has_value()) return fail(context, after.error());
  const auto lines = tune::diff(*before, *after);
  if (settings.json) {
    context.out << nlohmann::ordered_json{{"schema", "railhead.tune.diff/1"},
                                          {"before", tune::profileHash(*before)},
                                          {"after", tune::profileHash(*after)},
                                          {"differences", lines}}
                       .dump()
                << '\n';
    return;
  }
  for (const auto& line : lines) context.out << line << '\n';
  if (lines.empty()) context.out << "the same settings for the same fabric\n";
}

Result<std::string> exported(const ExportSettings& settings) {
  RAILHEAD_TRY_ASSIGN(const auto profile, readProfile(settings.file));
  if (settings.format == "conf") return tune::ncclConf(profile);
  if (settings.format == "env") return tune::shellEnvironment(profile);
  if (settings.format == "table") return tune::tunerTable(profile);
  return tune::configMap(profile, settings.name, settings.space);
}

void exportProfile(const ExportSettings& settings, Context& context) {
  const auto text = exported(settings);
  if (!text.has_value()) return fail(context, text.error());
  if (settings.out.empty()) {
    context.out << *text;
  } else if (const auto written = writeText(settings.out, *text); !written.has_value()) {
    fail(context, written.error());
  }
}

Result<Applied> applied(const ApplySettings& settings, Context& context) {
  RAILHEAD_TRY_ASSIGN(const auto folder, usage::absolutePath(settings.folder));
  RAILHEAD_TRY_ASSIGN(const std::unique_ptr<os::Filesystem> files, os::RootedFilesystem::open("/"));
  if (settings.rollback) return rollBack(*files, folder);
  if (settings.show.file.empty()) {
    return Error(ErrorCode::kInvalidArgument, "tune apply: no profile is named",
                 "name its file, or give --rollback");
  }
  RAILHEAD_TRY_ASSIGN(const auto profile, profileFor(settings.show, context));
  return applyProfile(*files, folder, profile);
}

std::string orNone(const std::string& hash) { return hash.empty() ? "no profile" : hash; }

void apply(const ApplySettings& settings, Context& context) {
  const auto done = applied(settings, context);
  if (!done.has_value()) return fail(context, done.error());
  if (settings.show.json) {
    context.out << nlohmann::ordered_json{{"schema", "railhead.tune.applied/1"},
                                          {"folder", settings.folder},
                                          {"now", done->now},
                                          {"previous", done->previous}}
                       .dump()
                << '\n';
    return;
  }
  context.out << settings.folder << ": " << orNone(done->now) << "; before it "
              << orNone(done->previous) << " (railhead tune apply --rollback --to "
              << settings.folder << ")\n";
}

void addShow(CLI::App* tune, Context& context) {
  auto settings = std::make_shared<ShowSettings>();
  auto* command = tune->add_subcommand("show", "Show what a profile sets, and what that gained");
  command->footer(std::string("Examples:\n  railhead tune show profile.yaml\n"
                              "  railhead tune show profile.yaml --on ssh:spark-a,spark-b\n") +
                  kFabricHelp);
  command->add_option("file", settings->file, "the profile")->required();
  addRankOptions(command, settings->ranks);
  settings->tuning.addTo(command, context.program);
  command->add_flag("--json", settings->json, "print it as JSON");
  command->final_callback([settings, &context] { show(*settings, context); });
}

void addDiff(CLI::App* tune, Context& context) {
  auto settings = std::make_shared<DiffSettings>();
  auto* command = tune->add_subcommand("diff", "Show in what two profiles differ");
  command->footer("Example:\n  railhead tune diff before.yaml after.yaml");
  command->add_option("before", settings->before, "a profile")->required();
  command->add_option("after", settings->after, "a profile")->required();
  command->add_flag("--json", settings->json, "print the differences as JSON");
  command->final_callback([settings, &context] { diff(*settings, context); });
}

void addExport(CLI::App* tune, Context& context) {
  auto settings = std::make_shared<ExportSettings>();
  auto* command = tune->add_subcommand("export", "Write a profile in a form that others read");
  command->footer(
      "Examples:\n"
      "  for NCCL itself:     railhead tune export profile.yaml --format conf --out nccl.conf\n"
      "  for a shell:         eval \"$(railhead tune export profile.yaml --format env)\"\n"
      "  for a cluster:       railhead tune export profile.yaml --format configmap | kubectl apply "
      "-f -\n"
      "  for the plugin:      railhead tune export profile.yaml --format table --out pair.table");
  command->add_option("file", settings->file, "the profile")->required();
  command->add_option("--format", settings->format, "conf, env, configmap or table")
      ->required()
      ->check(CLI::IsMember({"conf", "env", "configmap", "table"}));
  command->add_option("--name", settings->name, "of the ConfigMap")->capture_default_str();
  command->add_option("--namespace", settings->space, "of the ConfigMap");
  command->add_option("--out", settings->out, "write to this file (default: standard output)");
  command->final_callback([settings, &context] { exportProfile(*settings, context); });
}

void addApply(CLI::App* tune, Context& context) {
  auto settings = std::make_shared<ApplySettings>();
  auto* command =
      tune->add_subcommand("apply", "Put a profile into the folder that pods get, all at once");
  command->footer(
      std::string("Examples:\n  railhead tune apply profile.yaml --to /etc/railhead/profile\n"
                  "  railhead tune apply profile.yaml --to DIR --on ssh:spark-a,spark-b\n"
                  "  railhead tune apply --rollback --to /etc/railhead/profile\n"
                  "Writes profile.yaml, nccl.conf and nccl-tuner.table.\n") +
      kFabricHelp);
  command->add_option("file", settings->show.file, "the profile");
  command->add_option("--to", settings->folder, "the folder")->required();
  command->add_flag("--rollback", settings->rollback, "back to what was there before");
  addRankOptions(command, settings->show.ranks);
  settings->show.tuning.addTo(command, context.program);
  command->add_flag("--json", settings->show.json, "print what is there now as JSON");
  command->final_callback([settings, &context] { apply(*settings, context); });
}

}  // namespace

void addTuneProfileCommands(CLI::App* tune, Context& context) {
  addShow(tune, context);
  addDiff(tune, context);
  addExport(tune, context);
  addApply(tune, context);
}

}  // namespace railhead::app
