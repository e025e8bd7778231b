#include "lab/demo/training.h"

#include "lab/demo/node_shell.h"
#include "src/base/text.h"
#include "src/launch/gang.h"
#include "src/os/filesystem.h"
#include "src/os/host_paths.h"
#include "src/train/run_folder.h"

#include <algorithm>
#include <filesystem>
#include <sstream>

#include <nlohmann/json.hpp>

namespace railhead::lab {
namespace {

constexpr std::uint64_t kSteps = 12;
constexpr std::uint64_t kCheckpointEvery = 4;
constexpr std::uint64_t kKillAfterStep = 6;  // between two checkpoints
constexpr const char* kTrainer = "railhead-train";
// Of package base-files, which every Debian and Ubuntu machine has.
constexpr const char* kSampleText = "/usr/share/common-licenses/GPL-3";
constexpr std::size_t kMaxText = 1 << 20;
constexpr std::chrono::minutes kRunTime{4};
constexpr std::uint64_t kMaxRdmaPayload = 4096;  // the largest MTU that InfiniBand knows

// Small enough for an emulated CPU; GPT-2 all the same.
std::string runFile(std::size_t ranks) {
  std::ostringstream out;
  out << "schemaVersion: 1\nname: demo\n"
      << "command: [" << kTrainer << ", --engine, loops, --transport, verbs, --data, text.txt,\n"
      << "  --layers, \"2\", --heads, \"2\", --width, \"32\", --context, \"32\", --batch, \""
      << 2 * ranks << "\",\n  --warmup, \"2\", --learning-rate, \"3e-3\", --checkpoint-every, \""
      << kCheckpointEvery << "\"]\n"
      << "ranks: " << ranks << "\nseed: 7\nsteps: " << kSteps << "\n"
      << "data: [{path: text.txt}]\nretry: {restarts: 1, backoffSeconds: 0.1}\n";
  return out.str();
}

// A run that is to be made: the first number that no run of either kind has.
std::string freeNumber(const std::string& runs) {
  std::error_code ignored;
  for (int number = 1;; ++number) {
    const std::string text = std::to_string(number);
    if (!std::filesystem::exists(runs + "/undisturbed-" + text, ignored) &&
        !std::filesystem::exists(runs + "/killed-" + text, ignored)) {
      return text;
    }
  }
}

class TrainingPair {
 public:
  TrainingPair(const TrainingPlan& plan, const LabClient& lab, const std::vector<report::Pod>& pods,
               report::Training& training)
      : plan_(plan), lab_(lab), pods_(pods), training_(training) {}

  Result<void> run() {
    RAILHEAD_TRY_ASSIGN(files_, os::RootedFilesystem::open("/"));
    const std::string number = freeNumber(plan_.folder + "/runs");
    const train::RunFolder first(plan_.folder + "/runs/undisturbed-" + number);
    const train::RunFolder second(plan_.folder + "/runs/killed-" + number);
    RAILHEAD_TRY_ASSIGN(const RailCounters before, countersNow());
    RAILHEAD_TRY(runOnce(first, {}));
    RAILHEAD_TRY(takeLosses(first));
    training_.killedNode = pods_.back().node;
    RAILHEAD_TRY(runOnce(second, [&] { return killWhenItIsTime(second); }));
    RAILHEAD_TRY_ASSIGN(const RailCounters after, countersNow());
    training_.rdmaPackets = after.rdmaPackets - before.rdmaPackets;
    training_.tcpSegments = after.tcpSegments - before.tcpSegments;
    training_.wireBytes = after.wireBytes - before.wireBytes;
    RAILHEAD_TRY(takeRestarts(second));
    RAILHEAD_TRY(compare(first, second));
    return judgeCounters();
  }

 private:
  // `meanwhile` is called again and again until it says true.
  Result<void> runOnce(const train::RunFolder& folder,
                       const std::function<Result<bool>()>& meanwhile) {
    RAILHEAD_TRY_ASSIGN(
        const auto end,
        command({"run", plan_.folder + "/run.yaml", "--on", "lab", "--lab", plan_.lab, "--folder",
                 folder.path(), "--json"},
                meanwhile));
    if (end.ok()) return {};
    return Error(ErrorCode::kUnavailable, folder.id() + ": " + end.reason(), end.remedy());
  }

  Result<launch::GangEnd> command(std::vector<std::string> words,
                                  const std::function<Result<bool>()>& meanwhile) {
    launch::RankCommand railhead;
    railhead.node = "this machine";
    railhead.argv = {plan_.program, "train"};
    railhead.argv.insert(railhead.argv.end(), words.begin(), words.end());
    launch::GangSettings settings;
    settings.timeLimit = kRunTime;
    RAILHEAD_TRY_ASSIGN(auto gang, launch::RunningGang::start({railhead}, std::move(settings),
                                                              os::HostPaths().dev + "/null"));
    bool over = meanwhile == nullptr;
    while (gang->step()) {
      if (over) continue;
      RAILHEAD_TRY_ASSIGN(over, meanwhile());
    }
    return gang->end();
  }

  // kill -9, as the kernel does it to a process when memory is short.
  Result<bool> killWhenItIsTime(const train::RunFolder& folder) {
    const auto series = folder.readSeries(*files_, 0);
    if (!series.has_value() || series->lastStep() < kKillAfterStep) return false;
    const NodeShell node(lab_, training_.killedNode);
    RAILHEAD_TRY(node.run({"killall", "-KILL", kTrainer}));
    training_.killedAfterStep = series->lastStep();
    return true;
  }

  Result<void> takeLosses(const train::RunFolder& folder) {
    RAILHEAD_TRY_ASSIGN(const auto series, folder.readSeries(*files_, 0));
    for (const auto& step : series.steps()) {
      if (step.loss) training_.losses.push_back(*step.loss);
    }
    training_.ranks = pods_.size();
    training_.steps = series.lastStep();
    if (series.seconds() > 0) {
      training_.tokensPerSecond = static_cast<double>(series.tokens()) / series.seconds();
    }
    const auto parameters = series.facts().find("parameters");
    if (parameters != series.facts().end()) {
      training_.parameters = parseUnsigned(parameters->second).value_or(0);
    }
    if (training_.losses.size() == kSteps && training_.parameters > 0) return {};
    return Error(ErrorCode::kCheckFailed, folder.id() + " told " +
                                              std::to_string(training_.losses.size()) + " of " +
                                              std::to_string(kSteps) + " losses");
  }

  Result<void> takeRestarts(const train::RunFolder& folder) {
    RAILHEAD_TRY_ASSIGN(const auto manifest, folder.readManifest(*files_));
    training_.restarts = manifest.attempts.size() - 1;
    if (training_.restarts == 0) {
      return Error(ErrorCode::kCheckFailed, folder.id() + " was over before its rank was killed");
    }
    training_.resumedFromStep = manifest.attempts.back().fromStep.value_or(0);
    return {};
  }

  Result<void> compare(const train::RunFolder& first, const train::RunFolder& second) {
    RAILHEAD_TRY_ASSIGN(const auto end,
                        command({"compare", first.path(), second.path(), "--json"}, nullptr));
    const auto json = nlohmann::json::parse(end.ranks.front().output, nullptr, false);
    training_.equal = end.ok() && json.is_object() && json.value("sameness", "") == "bitwise";
    if (training_.equal) return {};
    return Error(ErrorCode::kCheckFailed,
                 first.id() + " and " + second.id() + " did not come out the same",
                 "see where: railhead train compare " + first.path() + " " + second.path());
  }

  // A reduce-scatter of the gradients and an all-gather of the weights in each step.
  Result<void> judgeCounters() {
    training_.bytesNeeded =
        2 * training_.steps * 2 * (training_.ranks - 1) * training_.parameters * sizeof(float);
    std::uint64_t mtu = 0;
    for (const auto& pod : pods_) {
      for (const auto& interface : pod.interfaces) {
        mtu = std::max<std::uint64_t>(mtu, static_cast<std::uint64_t>(interface.mtu));
      }
    }
    const std::string doubt = doubtOf(training_, mtu);
    training_.byRdma = doubt.empty();
    if (training_.byRdma) return {};
    return Error(ErrorCode::kCheckFailed, "gradients may not have travelled by RDMA: " + doubt);
  }

  Result<RailCounters> countersNow() const {
    RailCounters sum;
    for (const auto& pod : pods_) {
      std::string script;
      // Over netlink: a pod's sysfs hides a driver's own counters while devices are shared.
      for (const auto& interface : pod.interfaces) {
        script += "rdma -j statistic show link " + interface.rdma + "/1 && ";
      }
      RAILHEAD_TRY_ASSIGN(
          const auto text,
          NodeShell(lab_, pod.node)
              .run({"railhead-lab-kubelet", "exec", pod.fullName(), "--", "sh", "-c",
                    script + "cat /proc/net/snmp"}));
      RAILHEAD_TRY_ASSIGN(const auto one, parsePodCounters(text).addContext(pod.node));
      sum.rdmaPackets += one.rdmaPackets;
      sum.tcpSegments += one.tcpSegments;
    }
    RAILHEAD_TRY_ASSIGN(const auto status, lab_.status());
    for (const auto& link : status.links) {
      for (const auto& end : link.ends) sum.wireBytes += end.bytes;
    }
    return sum;
  }

  const TrainingPlan& plan_;
  const LabClient& lab_;
  const std::vector<report::Pod>& pods_;
  report::Training& training_;
  std::unique_ptr<os::Filesystem> files_;
};

// What `rdma -j statistic` says of one device.
Result<std::uint64_t> sentPackets(std::string_view line) {
  const auto json = nlohmann::json::parse(line, nullptr, false);
  if (json.is_array() && json.size() == 1 && json[0].is_object()) {
    const auto packets = json[0].find("sent_pkts");
    if (packets != json[0].end() && packets->is_number_unsigned()) return packets->get<std::uint64_t>();
  }
  return Error(ErrorCode::kCorrupt, "rdma statistic says no sent_pkts: " + inQuotes(line));
}

}  // namespace

Result<void> prepareTraining(const TrainingPlan& plan, const Topology& topology) {
  RAILHEAD_TRY_ASSIGN(const std::unique_ptr<os::Filesystem> files,
                      os::RootedFilesystem::open("/"));
  auto text = files->readFile(kSampleText, kMaxText);
  if (!text.has_value()) {
    return Error(ErrorCode::kEnvironment,
                 std::string("no text to train on: ") + text.error().message,
                 "install base-files, or leave the training out: --no-training");
  }
  RAILHEAD_TRY(files->makeDirectories(plan.folder + "/runs"));
  RAILHEAD_TRY(files->replaceFile(plan.folder + "/text.txt", *text));
  return files->replaceFile(plan.folder + "/run.yaml", runFile(topology.nodes.size()));
}

Result<RailCounters> parsePodCounters(const std::string& text) {
  RailCounters out;
  std::vector<std::string_view> names;
  bool tcp = false;
  for (const auto line : split(text, '\n')) {
    if (line.starts_with("[")) {
      RAILHEAD_TRY_ASSIGN(const std::uint64_t packets, sentPackets(line));
      out.rdmaPackets += packets;
    }
    if (!line.starts_with("Tcp:")) continue;
    const auto words = split(line, ' ');
    if (names.empty()) {  // the first such line names what the second one counts
      names = words;
      continue;
    }
    const auto at = std::find(names.begin(), names.end(), "OutSegs") - names.begin();
    if (static_cast<std::size_t>(at) >= words.size()) break;
    const auto segments = parseUnsigned(words[static_cast<std::size_t>(at)]);
    if (!segments) break;
    out.tcpSegments = *segments;
    tcp = true;
  }
  if (tcp) return out;
  return Error(ErrorCode::kCorrupt, "/proc/net/snmp says no OutSegs");
}

Result<void> trainTwice(const TrainingPlan& plan, const LabClient& lab,
                        const std::vector<report::Pod>& pods, report::Training& training) {
  return TrainingPair(plan, lab, pods, training).run();
}

std::string doubtOf(const report::Training& training, std::uint64_t mtu) {
  const std::string needed = std::to_string(training.bytesNeeded) + " bytes had to move";
  if (training.rdmaPackets * std::min(mtu, kMaxRdmaPayload) < training.bytesNeeded) {
    return needed + ", and " + std::to_string(training.rdmaPackets) +
           " RDMA packets cannot hold them";
  }
  if (training.tcpSegments * mtu >= training.bytesNeeded) {
    return needed + ", and " + std::to_string(training.tcpSegments) + " TCP segments could hold "
           "them";
  }
  if (training.wireBytes < training.bytesNeeded) {
    return needed + ", and the links passed on " + std::to_string(training.wireBytes);
  }
  return {};
}

}  // namespace railhead::lab
