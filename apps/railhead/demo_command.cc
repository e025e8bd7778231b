#include "apps/railhead/demo_command.h"

#include "apps/railhead/image_path.h"
#include "apps/usage/values.h"
#include "lab/demo/demo.h"
#include "src/base/text.h"
#include "src/os/filesystem.h"
#include "src/report/model/json.h"
#include "src/report/terminal/summary.h"
#include "src/report/write.h"

#include <filesystem>
#include <iostream>
#include <memory>
#include <ostream>

#include <CLI/CLI.hpp>
#include <unistd.h>

namespace railhead::app {
namespace {

struct Settings {
  std::string out = "railhead-demo";
  std::string topology = "two-sparks";
  lab::LabOptions lab;
  double seconds = 4;
  bool json = false;
  bool hold = false;
  bool noTraining = false;
};

// Keeps the lab until Enter or the end of the input; Ctrl-C ends both.
void holdLab(const std::string& name, const std::string& node, std::ostream& err) {
  err << "\nThe nodes stay up. In another terminal: railhead lab exec --lab " << name << " " << node
      << " -- sh\nPress Enter here to take them down.\n";
  std::string line;
  std::getline(std::cin, line);
}

// The folder is made before anything boots: a report that cannot be written is known at once.
Result<std::unique_ptr<os::Filesystem>> openOut(const std::string& directory) {
  RAILHEAD_TRY_ASSIGN(std::unique_ptr<os::Filesystem> files, os::RootedFilesystem::open("/"));
  RAILHEAD_TRY(files->makeDirectories(directory).addContext("--out").addContext("demo"));
  const auto status = files->status(directory);
  const bool isFolder = status.has_value() && status->kind == os::FileKind::kDirectory;
  if (!isFolder || ::access(directory.c_str(), W_OK) != 0) {
    return Error(ErrorCode::kInvalidArgument,
                 "--out " + directory + " is not a folder that can be written",
                 "name a folder that you may write");
  }
  return files;
}

void runDemo(const Settings& settings, Context& context) {
  const auto topology = lab::loadTopology(settings.topology);
  if (!topology) return fail(context, topology.error());
  std::error_code ignored;
  const std::string out =
      std::filesystem::absolute(settings.out, ignored).lexically_normal().string();
  const auto files = openOut(out);
  if (!files) return fail(context, files.error());
  lab::DemoOptions options;
  options.topology = *topology;
  options.lab = settings.lab;
  options.lab.keeper = {context.program, "lab", "keeper"};
  options.lab.imageDirectory = imagePath(settings.lab.imageDirectory, context.program);
  options.seconds = settings.seconds;
  options.toolVersion = RAILHEAD_VERSION;
  if (!settings.noTraining) options.trainingFolder = out + "/training";
  if (settings.hold)
    options.hold = [&](const lab::LabClient&) {
      holdLab(settings.lab.name, topology->nodes.front().name, context.err);
    };
  os::SystemClock clock;
  const auto style = report::detectStyle(STDERR_FILENO, report::processEnvironment);
  report::StepPrinter printer(context.err, style, clock);
  const lab::DemoResult result = lab::runDemo(options, printer, clock);
  const report::Report& report = result.report;
  const auto written = report::writeReport(**files, out, report);
  if (!written) return fail(context, written.error());
  if (settings.json) {
    context.out << report::toJson(report) << '\n';
  } else {
    report::printSummary(context.out, report,
                         report::detectStyle(STDOUT_FILENO, report::processEnvironment), *written);
  }
  if (result.failure) context.exitCode = exitCodeFor(*result.failure);
}

}  // namespace

void addDemoCommand(CLI::App& app, Context& context) {
  auto* command = app.add_subcommand(
      "demo", "The journey on emulated nodes: VFs, rail sets, pods, RDMA, training, a report");
  command->footer(
      "Examples:\n  railhead demo --out /tmp/d\n  railhead demo --topology four-nodes --hold\n\n"
      "Leaves DIR/report.json (docs/reference/report.md), DIR/report.html and the training runs "
      "in\n"
      "DIR/training.");
  auto settings = std::make_shared<Settings>();
  settings->lab.name = "demo";
  command->add_option("--out", settings->out, "folder for the report")->capture_default_str();
  command
      ->add_option("--topology", settings->topology,
                   join(lab::builtinTopologies(), ", ") + ", or a file")
      ->capture_default_str();
  command->add_option("--seconds", settings->seconds, "length of each bandwidth measurement")
      ->capture_default_str()
      ->check(usage::realRange(0.5, 60.0));
  command->add_option("--image", settings->lab.imageDirectory, "folder of the nodes' image")
      ->envname("RAILHEAD_LAB_IMAGE");
  command->add_option("--accel", settings->lab.accelerator, "tcg (everywhere) or kvm")
      ->capture_default_str();
  command->add_option("--qemu", settings->lab.qemu, "QEMU to run")->capture_default_str();
  command->add_flag("--no-training", settings->noTraining, "end before the training runs");
  command->add_flag("--hold", settings->hold, "keep the nodes up until Enter is pressed");
  command->add_flag("--json", settings->json, "print the report as JSON instead of a summary");
  command->final_callback([settings, &context] { runDemo(*settings, context); });
}

}  // namespace railhead::app
