#include "src/launch/kubernetes/exec.h"

#include "src/base/text.h"

#include <algorithm>

namespace railhead::launch {
namespace {

constexpr std::chrono::seconds kBetweenLooks{1};
constexpr std::chrono::seconds kLookTime{30};
constexpr std::size_t kMostSaid = 500;
constexpr std::string_view kKubectlsWords = "command terminated with exit code ";

// A line for each pod: its rank, its name, whether its container runs.
constexpr const char* kPods =
    R"(jsonpath={range .items[*]}{.metadata.annotations.batch\.kubernetes\.io/job-completion-index} {.metadata.name} {.status.containerStatuses[0].state.running.startedAt}{"\n"}{end})";
// Why a pod does not.
constexpr const char* kWhyNot =
    R"(jsonpath={range .items[*]}{.metadata.name}: {.status.phase} {.status.conditions[?(@.status=="False")].message} {.status.containerStatuses[0].state.waiting.message}{"\n"}{end})";

Result<os::ProcessResult> podsSay(os::ProcessRunner& runner, const Kubectl& kubectl,
                                  const std::string& job, const char* what) {
  os::ProcessSpec spec;
  spec.argv =
      kubectl.command({"get", "pod", "-l", "job-name=" + job, "--request-timeout=20s", "-o", what});
  spec.deadline = kLookTime;
  spec.interruptFd = kubectl.interruptFd;
  return runner.run(spec);
}

// By rank; empty where one does not run yet.
std::vector<std::string> namesIn(std::string_view output, int ranks) {
  std::vector<std::string> out(static_cast<std::size_t>(ranks));
  for (const auto line : split(output, '\n')) {
    const auto words = split(trim(line), ' ');
    if (words.size() != 3) continue;  // without a start there are two
    const auto rank = parseUnsigned(words[0]);
    if (rank && *rank < out.size()) out[*rank] = words[1];
  }
  return out;
}

}  // namespace

Result<std::vector<std::string>> runningPods(os::ProcessRunner& runner, os::Clock& clock,
                                             const Kubectl& kubectl, const KubernetesJob& job,
                                             const PodWait& wait) {
  const auto limit = clock.now() + wait.most;
  for (;;) {
    const auto said = podsSay(runner, kubectl, job.name, kPods);
    // An API server that is slow for once may answer the next time.
    if (!said.has_value() && said.error().code != ErrorCode::kDeadlineExceeded) return said.error();
    if (said.has_value() && said->exitCode == 0) {
      auto names = namesIn(said->output, job.ranks);
      if (std::none_of(names.begin(), names.end(), [](const auto& one) { return one.empty(); }))
        return names;
    }
    if (wait.stopped && wait.stopped()) return Error(ErrorCode::kUnavailable, "interrupted");
    if (clock.now() >= limit) break;
    clock.sleepFor(kBetweenLooks);
  }
  const auto why = podsSay(runner, kubectl, job.name, kWhyNot);
  const std::string said =
      why.has_value() ? std::string(trim(why->exitCode == 0 ? why->output : why->errorOutput)) : "";
  return Error(ErrorCode::kEnvironment,
               "the pods of " + job.name + " did not start within " +
                   std::to_string(wait.most.count()) +
                   " s: " + (said.empty() ? "there are none" : said.substr(0, kMostSaid)));
}

std::vector<RankCommand> execCommands(const Kubectl& kubectl, const std::vector<std::string>& pods,
                                      const RankProgram& program) {
  std::vector<RankCommand> out;
  for (std::size_t rank = 0; rank < pods.size(); ++rank) {
    std::vector<std::string> words = {"exec", "-i", pods[rank], "-c", "rank", "--"};
    words.insert(words.end(), program.argv.begin(), program.argv.end());
    auto seat = program.environment;
    seat["MASTER_PORT"] = std::to_string(program.masterPort);
    for (const auto& [name, value] : seat)
      words.insert(words.end(), {"--seat", name + "=" + value});
    words.emplace_back("--token-from-stdin");
    words.insert(words.end(), program.operands.begin(), program.operands.end());
    auto& command = out.emplace_back();
    command.rank = static_cast<int>(rank);
    command.node = "pod " + pods[rank];
    command.argv = kubectl.command(std::move(words));
    command.watchesInput = true;
    command.input = program.token + "\n";
  }
  return out;
}

GangEnd withoutKubectlsWords(GangEnd end) {
  for (auto& rank : end.ranks) {
    if (!rank.lastLines.empty() && rank.lastLines.back().starts_with(kKubectlsWords))
      rank.lastLines.pop_back();
  }
  return end;
}

}  // namespace railhead::launch
