#include "src/launch/kubernetes/follow.h"

#include "src/base/text.h"

#include <poll.h>

namespace railhead::launch {
namespace {

constexpr std::chrono::seconds kKubectlTime{60};
constexpr std::chrono::seconds kAfterInterrupt{5};
constexpr int kDeleteSeconds = 60;  // beyond the pods' own time to end

// $1: selector, $2: seconds, $3: what stands before the node's name, or empty for the log to
// standard output; then kubectl with its options. The pod may not be there yet, and its container
// may be over before it is seen to run.
constexpr const char* kFollow = R"sh(
selector=$1 seconds=$2 mark=$3
shift 3
# The kernel kills this shell with who watches; then its input ends, and what it runs goes too: a
# kubectl would stay until its next line.
exec 3<&0
(trap '' TERM; cat <&3 >/dev/null; kill -KILL 0) 2>/dev/null &
container='.items[0].status.containerStatuses[0]'
end=$(($(date +%s) + seconds))
while :; do
  # "true " once it runs, "false 3" once it is over.
  state=$("$@" get pod -l "$selector" --request-timeout=20s -o jsonpath="{$container.started} {$container.state.terminated.exitCode}" 2>/dev/null)
  case $state in true* | *[0-9]) break ;; esac
  if [ $(date +%s) -ge $end ]; then
    "$@" get pod -l "$selector" -o jsonpath='{range .items[*]}{.metadata.name}: {.status.phase} {.status.conditions[?(@.status=="False")].message} {.status.containerStatuses[0].state.waiting.message}{"\n"}{end}' >&2
    echo "the pod did not start within $seconds s" >&2
    exit 4
  fi
  sleep 1
done
say() { if [ -n "$mark" ]; then echo "$1"; else echo "$1" >&2; fi; }
if [ -n "$mark" ]; then
  # What a shell says of a command that was stopped is no word of the rank's.
  exec >&2 2>/dev/null
  echo "$mark$("$@" get pod -l "$selector" --request-timeout=20s -o jsonpath='{.items[0].spec.nodeName}')"
  # What stops this stops the pod, whose last words are still heard: unless the cluster does not answer.
  trap 'timeout 5 "$@" delete pod -l "$selector" --wait=false >/dev/null || exit 1' TERM
fi
since='' unknown=0 cut=0 again=''
# Back to where the last stream was cut, by the node's own clock.
reach() { [ $cut = 0 ] || since=--since=$(($(date +%s) - cut + 2))s; }
while [ $unknown -lt 60 ]; do
  # An API server that does not answer has no log either, however long it takes to say so: the lines
  # of that time are still to come.
  heard=no
  if [ -z "$again" ] || "$@" get pod -l "$selector" --request-timeout=4s -o name >/dev/null; then
    # All that the container says comes by standard output; kubectl's own words are none of the rank's.
    began=$(date +%s)
    # A stream that broke within seconds is had again from where the one before was cut: lines may
    # come twice, but none is lost.
    reach
    "$@" logs -f -l "$selector" --tail=-1 $since && cut=$(date +%s) heard=yes
    # A node that died keeps its pod for long: what ends at once, again and again, does not go on.
    [ $(($(date +%s) - began)) -lt 5 ] || unknown=0 cut=$(date +%s)
  fi
  code=$("$@" get pod -l "$selector" --request-timeout=20s -o jsonpath="{$container.state.terminated.exitCode}")
  if [ -n "$code" ]; then
    reach
    [ $heard = yes ] || "$@" logs -l "$selector" --tail=-1 $since
    exit "$code"
  fi
  # The stream was cut, and the container runs: the API server went, a log was rotated.
  if left=$("$@" get pod -l "$selector" --request-timeout=20s -o name); then
    [ -n "$left" ] || break
  fi
  unknown=$((unknown + 1)) again=yes
  sleep 1
done
say "the pod's end is not known"
exit 1
)sh";

Error failed(const std::string& what, const os::ProcessResult& result) {
  const std::string said = std::string(trim(result.errorOutput));
  const bool noCluster = said.find("refused") != std::string::npos ||
                         said.find("Unable to connect") != std::string::npos ||
                         said.find("no configuration has been provided") != std::string::npos;
  const bool exists = said.find("AlreadyExists") != std::string::npos;
  return Error(exists      ? ErrorCode::kAlreadyExists
               : noCluster ? ErrorCode::kEnvironment
                           : ErrorCode::kUnavailable,
               what + ": " + (said.empty() ? "kubectl failed without a word" : said.substr(0, 500)),
               noCluster ? "check kubectl's context with: kubectl cluster-info" : "");
}

Result<os::ProcessResult> run(os::ProcessRunner& runner, const Kubectl& kubectl,
                              std::vector<std::string> words, const std::string& input,
                              std::chrono::seconds deadline = kKubectlTime) {
  os::ProcessSpec spec;
  spec.argv = kubectl.command(std::move(words));
  spec.input = input;
  spec.deadline = deadline;
  spec.interruptFd = kubectl.interruptFd;
  spec.afterInterrupt = kAfterInterrupt;
  auto result = runner.run(spec);
  if (!result.has_value() && result.error().code == ErrorCode::kNotFound) {
    return Error(ErrorCode::kEnvironment, "there is no " + kubectl.program,
                 "install kubectl, or render the objects with --dry-run");
  }
  return result;
}

}  // namespace

bool Kubectl::isInterrupted() const {
  pollfd waiting{interruptFd, POLLIN, 0};
  return interruptFd >= 0 && ::poll(&waiting, 1, 0) > 0;
}

std::vector<std::string> Kubectl::command(std::vector<std::string> words) const {
  std::vector<std::string> out = {program};
  if (!context.empty()) out.insert(out.end(), {"--context", context});
  out.insert(out.end(), {"--namespace", namespaceName});
  out.insert(out.end(), words.begin(), words.end());
  return out;
}

Result<void> createJob(os::ProcessRunner& runner, const Kubectl& kubectl,
                       const KubernetesJob& job) {
  RAILHEAD_TRY_ASSIGN(const std::string yaml, renderJob(job));
  const auto result = run(runner, kubectl, {"create", "-f", "-"}, yaml);
  const std::string what = "create Job " + job.name;
  if (!result.has_value()) return Error(result.error()).addContext(what);
  if (result->exitCode != 0) return failed(what, *result);
  return {};
}

Result<void> deleteJob(os::ProcessRunner& runner, const Kubectl& kubectl, const std::string& name) {
  RAILHEAD_TRY_ASSIGN(
      const auto result,
      run(runner, kubectl,
          {"delete", "job/" + name, "service/" + name, "--ignore-not-found", "--cascade=foreground",
           kubectl.isInterrupted() ? "--wait=false" : "--wait=true", "--timeout=50s"},
          ""));
  if (result.exitCode != 0) return failed("delete Job " + name, result);
  return {};
}

Result<void> deleteRun(os::ProcessRunner& runner, const Kubectl& kubectl,
                       const KubernetesJob& job) {
  std::string kinds = "jobs,services";
  if (job.podGroup == PodGroup::kCoscheduling) kinds += ",podgroups.scheduling.x-k8s.io";
  if (job.podGroup == PodGroup::kVolcano) kinds += ",podgroups.scheduling.volcano.sh";
  const std::vector<std::string> objects = {"delete", kinds, "-l",
                                            std::string(kRunLabel) + "=" + job.run};
  const int seconds = job.graceSeconds + kDeleteSeconds;
  auto words = objects;
  words.insert(words.end(), {"--ignore-not-found", "--cascade=foreground",
                             kubectl.isInterrupted() ? "--wait=false" : "--wait=true",
                             "--timeout=" + std::to_string(seconds) + "s"});
  auto result =
      run(runner, kubectl, std::move(words), "", std::chrono::seconds(seconds) + kKubectlTime);
  if (result.has_value() && result->exitCode == 0) return {};
  const std::string what = "Job " + job.name + " and its pods may be left in the cluster";
  Error error =
      result.has_value() ? failed(what, *result) : std::move(result.error()).addContext(what);
  return error.withRemedy("take them away with: " + join(kubectl.command(objects), " "));
}

std::vector<RankCommand> followCommands(const Kubectl& kubectl, const KubernetesJob& job,
                                        int waitSeconds, PodLog log) {
  std::vector<RankCommand> out;
  for (int rank = 0; rank < job.ranks; ++rank) {
    std::vector<std::string> argv = {
        "sh",
        "-c",
        kFollow,
        "follow",
        rankSelector(job.name, rank),
        std::to_string(waitSeconds),
        log == PodLog::kAsLines ? std::string(kNodeMark) : std::string()};
    const auto words = kubectl.command({});
    argv.insert(argv.end(), words.begin(), words.end());
    out.push_back({rank, "pod " + job.name + "-" + std::to_string(rank), std::move(argv), {}});
  }
  return out;
}

}  // namespace railhead::launch
