#include "apps/railhead/bench_command.h"

#include "apps/railhead/bench_collectives_command.h"
#include "apps/railhead/bench_output.h"
#include "apps/usage/values.h"
#include "src/base/text.h"
#include "src/bench/environment.h"
#include "src/bench/rail_choice.h"
#include "src/bench/verbs_session.h"
#include "src/os/clock.h"
#include "src/os/filesystem.h"
#include "src/os/host_paths.h"
#include "src/os/tcp.h"
#include "src/report/terminal/step_printer.h"
#include "src/verbs/system_verbs.h"

#include <chrono>
#include <memory>
#include <ostream>
#include <utility>

#include <CLI/CLI.hpp>
#include <unistd.h>

namespace railhead::app {
namespace {

constexpr const char* kExamples =
    "Examples:\n"
    "  on one node:    railhead bench verbs --listen :7471\n"
    "  on the other:   railhead bench verbs --connect 10.0.0.1:7471\n"
    "  chosen rails:   railhead bench verbs --connect 10.0.0.1:7471 --rail rocep1s0f0 \\\n"
    "                    --rail roceP2p1s0f0@10.100.1.5 --size 1MiB --seconds 10 --json\n"
    "  reads, by size: railhead bench verbs --connect 10.0.0.1:7471 --operation read \\\n"
    "                    --sizes 8..8MiB --qps 4\n"
    "  GPU memory:     railhead bench verbs --listen :7471 --memory cuda-dmabuf --gpu 0\n"
    "The connecting end decides operation, sizes, seconds and rates; the listening end follows "
    "and\n"
    "verifies. Each end says for itself which memory it uses.\n"
    "Exit code 3: a wrong byte, a rail that does not carry, a peer that left; 4: no peer, wrong\n"
    "token, another version, no usable RDMA device, memory that cannot be registered.";

Result<std::optional<BitRate>> parseRate(const std::string& option, const std::string& text) {
  if (text.empty()) return std::optional<BitRate>();
  RAILHEAD_TRY_ASSIGN(const BitRate rate, BitRate::parse(text).addContext(option));
  if (!(rate.bitsPerSecond > 0)) {
    return Error(ErrorCode::kInvalidArgument, option + " " + text + ": expected more than 0");
  }
  return std::optional(rate);
}

Result<std::vector<bench::RailChoice>> railsOf(const BenchVerbsSettings& settings,
                                               verbs::Verbs& verbs) {
  std::vector<bench::RailRequest> requests;
  for (const auto& text : settings.rails) {
    RAILHEAD_TRY_ASSIGN(auto request, bench::RailRequest::parse(text));
    requests.push_back(std::move(request));
  }
  return bench::chooseRails(verbs, requests);
}

bench::Environment environmentOf(const std::vector<bench::RailChoice>& rails) {
  std::vector<verbs::DeviceInfo> devices;
  for (const auto& rail : rails) devices.push_back(rail.device);
  const auto filesystem = os::RootedFilesystem::open("/");
  if (!filesystem.has_value()) return {};
  return bench::readEnvironment(**filesystem, os::HostPaths().sys, devices);
}

// Shows the session's steps on a terminal, one line each.
class Progress {
 public:
  explicit Progress(Context& context) {
    if (!context.terminal) return;
    printer_ = std::make_unique<report::StepPrinter>(context.err, progressStyle(context), clock_);
    ticker_ = std::make_unique<report::StepTicker>(*printer_);
  }
  void begin(std::string_view step) {
    if (!printer_) return;
    end();
    printer_->begin(step);
    running_ = true;
  }
  void end() {
    if (running_) printer_->succeed();
    running_ = false;
  }
  // False when no step was running: then nothing was shown.
  bool fail(const Error& error) {
    if (running_) printer_->fail({error, {}, {}});
    return std::exchange(running_, false);
  }

 private:
  os::SystemClock clock_;
  std::unique_ptr<report::StepPrinter> printer_;
  std::unique_ptr<report::StepTicker> ticker_;
  bool running_ = false;
};

Result<bench::VerbsReport> run(const BenchVerbsSettings& settings, verbs::Verbs& verbs,
                               Progress& progress) {
  const bool listens = !settings.listen.empty();
  RAILHEAD_TRY_ASSIGN(const auto endpoint,
                      os::Endpoint::parse(listens ? settings.listen : settings.connect)
                          .addContext(listens ? "--listen" : "--connect"));
  bench::VerbsTargets targets;
  targets.plan = settings.plan;
  RAILHEAD_TRY_ASSIGN(targets.plan.operation,
                      bench::parseVerbsOperation(settings.operation).addContext("--operation"));
  if (!settings.sizes.empty()) {
    RAILHEAD_TRY_ASSIGN(targets.plan.sizes,
                        bench::parseMessageSizes(settings.sizes).addContext("--sizes"));
  }
  RAILHEAD_TRY(targets.plan.check());
  RAILHEAD_TRY_ASSIGN(targets.ceiling, parseRate("--ceiling", settings.ceiling));
  for (const auto& text : settings.lineRates) {
    RAILHEAD_TRY_ASSIGN(const auto rate, parseRate("--line-rate", text));
    if (rate) targets.lineRates.push_back(*rate);
  }
  if (settings.token.size() > 128 || settings.token.find('\n') != std::string::npos) {
    return Error(ErrorCode::kInvalidArgument, "--token " + inQuotes(settings.token) +
                                                  ": expected one line of at most 128 bytes");
  }
  RAILHEAD_TRY_ASSIGN(const auto kind,
                      bench::parseTransferMemory(settings.memory).addContext("--memory"));
  RAILHEAD_TRY_ASSIGN(auto rails, railsOf(settings, verbs));
  RAILHEAD_TRY_ASSIGN(auto memory, bench::chooseMemory(kind, settings.gpu, settings.cudaLibraries));
  const bench::Environment environment = environmentOf(rails);
  const auto wait = std::chrono::duration<double>(settings.timeout);
  const bench::VerbsSession session{
      verbs,
      std::move(rails),
      environment,
      settings.token,
      std::chrono::steady_clock::now() +
          std::chrono::duration_cast<std::chrono::steady_clock::duration>(wait),
      [&](std::string_view step) { progress.begin(step); },
      std::move(memory)};
  if (!listens) return bench::runVerbs(session, endpoint, targets);
  RAILHEAD_TRY_ASSIGN(const os::UniqueFd listener, os::listenTcp(endpoint));
  return bench::serveVerbs(session, listener.get());
}

// What is measured; only the connecting end's counts.
void addMeasurement(CLI::App& command, BenchVerbsSettings& settings) {
  bench::VerbsPlan& plan = settings.plan;
  command.add_option("--operation", settings.operation, "write, read or send")
      ->capture_default_str();
  command.add_option("--size", plan.messageBytes, "bytes of one message, like 64KiB")
      ->transform(usage::sizeValue())
      ->default_str("64KiB");
  command.add_option("--sizes", settings.sizes,
                     "then bandwidth by size: 8..8MiB (powers of two) or a list like 64,4KiB");
  command.add_option("--seconds", plan.seconds, "of each bandwidth measurement")
      ->capture_default_str();
  command.add_option("--size-seconds", plan.sizeSeconds, "of each size of --sizes")
      ->capture_default_str();
  command.add_option("--outstanding", plan.outstanding, "messages in flight on each rail")
      ->capture_default_str();
  command.add_option("--qps,--pairs", plan.pairsPerRail, "queue pairs on each rail")
      ->capture_default_str();
  command.add_option("--latency-seconds", plan.latencySeconds, "at most, on each rail")
      ->capture_default_str();
  command.add_option("--rate-bytes", plan.rateBytes, "of one message where they are counted")
      ->transform(usage::sizeValue())
      ->default_str("8");
  command.add_option("--rate-outstanding", plan.rateOutstanding, "messages in flight then")
      ->capture_default_str();
  command.add_option("--rate-seconds", plan.rateSeconds, "of each message rate")
      ->capture_default_str();
  command.add_option("--seed", plan.seed, "of the patterns that are verified")
      ->capture_default_str();
}

void addVerbs(CLI::App* bench, Context& context) {
  auto settings = std::make_shared<BenchVerbsSettings>();
  auto* command =
      bench->add_subcommand("verbs", "Measure RDMA between two nodes and verify every byte");
  command->footer(kExamples);
  auto* ends = command->add_option_group("ends", "which end this is");
  ends->add_option("--listen", settings->listen, "ADDRESS:PORT to wait on for the other end");
  ends->add_option("--connect", settings->connect, "ADDRESS:PORT where the other end listens");
  ends->require_option(1);
  command->add_option("--rail", settings->rails,
                      "DEVICE or DEVICE@ADDRESS, once per rail (default: every RDMA device with an "
                      "IPv4 address in this network namespace)");
  addMeasurement(*command, *settings);
  command
      ->add_option("--memory", settings->memory,
                   "of this end: host, cuda-host (pinned), cuda-dmabuf or cuda-peermem (a GPU's)")
      ->capture_default_str();
  command->add_option("--gpu", settings->gpu, "ordinal or UUID, where --memory needs one")
      ->capture_default_str();
  auto* ceiling =
      command->add_option("--ceiling", settings->ceiling,
                          "payload rate one rail can reach at most, like 37Mbit (default: from "
                          "port and PCIe link, where they can be believed)");
  command
      ->add_option("--line-rate", settings->lineRates,
                   "rate of each rail's link, like 40Mbit, or once per rail: the ceiling is this "
                   "less headers")
      ->excludes(ceiling);
  command->add_option("--token", settings->token,
                      "both ends must give the same (a name, not a password)");
  command->add_option("--timeout", settings->timeout, "seconds to find the other end")
      ->capture_default_str()
      ->check(usage::realRange(0.1, 3600.0));
  command->add_flag("--json", settings->json, "print the result as JSON");
  command->final_callback([settings, &context] {
    verbs::SystemVerbs verbs;
    runBenchVerbs(*settings, verbs, context);
  });
}

}  // namespace

void runBenchVerbs(const BenchVerbsSettings& settings, verbs::Verbs& verbs, Context& context) {
  Progress progress(context);
  const auto report = run(settings, verbs, progress);
  if (!report.has_value()) {
    if (!progress.fail(report.error())) return fail(context, report.error());
    context.exitCode = exitCodeFor(report.error().code);
    return;
  }
  // The measurement is told also when it found wrong bytes: how many, and on which rail.
  if (settings.json) context.out << bench::toJson(*report) << '\n';
  if (report->failure) {
    if (!progress.fail(*report->failure)) return fail(context, *report->failure);
    context.exitCode = exitCodeFor(report->failure->code);
    return;
  }
  progress.end();
  if (!settings.json) printVerbsReport(context.out, *report);
}

void addBenchCommand(CLI::App& app, Context& context) {
  auto* bench = app.add_subcommand("bench", "Measure a path, with every byte verified");
  bench->footer(
      "Examples:\n  railhead bench verbs --listen :7471              on one node\n"
      "  railhead bench verbs --connect 10.0.0.1:7471     on the other\n"
      "  railhead bench collectives --on local:2          two ranks here\n"
      "  railhead bench compare before.json after.json");
  bench->require_subcommand(0, 1);
  addVerbs(bench, context);
  addBenchCollectives(bench, context);
  addBenchCompare(bench, context);
}

}  // namespace railhead::app
