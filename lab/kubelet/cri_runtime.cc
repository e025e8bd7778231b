#include "lab/kubelet/cri_runtime.h"

#include "lab/kubelet/process_hunt.h"
#include "src/base/text.h"

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include <nlohmann/json.hpp>
#include <unistd.h>

namespace railhead::lab {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::seconds kPatience{60};
constexpr std::chrono::seconds kGrace{2};
constexpr std::chrono::seconds kNoticed{30};
constexpr int kTries = 3;
constexpr std::chrono::milliseconds kBetweenTries{500};
constexpr std::chrono::milliseconds kPoll{50};
constexpr const char* kContainer = "main";
constexpr const char* kPods = "/kubepods/pod";  // as kubelet names the cgroup of a pod

CriSandboxConfig sandboxConfig(const Pod& pod, const std::string& logFolder) {
  CriSandboxConfig config;
  config.podNamespace = pod.spec.name.podNamespace;
  config.podName = pod.spec.name.name;
  config.podUid = pod.uid;
  config.logFolder = logFolder;
  config.annotations = pod.spec.annotations;
  config.cgroupParent = kPods + pod.uid;
  config.hostNetwork = pod.spec.hostNetwork;
  return config;
}

}  // namespace

Result<void> CriRuntime::awaitReady() const {
  const auto until = std::chrono::steady_clock::now() + kPatience;
  for (;;) {
    const auto conditions = client_.status();
    std::string missing = conditions.has_value() ? "" : conditions.error().message;
    if (conditions.has_value()) {
      for (const auto& one : *conditions) {
        const bool needed = one.type == "RuntimeReady" || one.type == "NetworkReady";
        if (needed && !one.holds) missing += one.type + " does not hold: " + one.message + " ";
      }
    }
    if (missing.empty()) return {};
    if (std::chrono::steady_clock::now() > until) {
      return Error(ErrorCode::kUnavailable, "container runtime: " + missing,
                   "start containerd, and give it a CNI configuration");
    }
    std::this_thread::sleep_for(kPoll);
  }
}

Result<void> CriRuntime::setUp(Pod& pod, const ContainerPlan& plan) {
  RAILHEAD_TRY(awaitReady());
  const auto begun = std::chrono::steady_clock::now();
  RAILHEAD_TRY_ASSIGN(pod.sandboxId, client_.runSandbox(sandboxConfig(pod, plan.logFolder)));
  pod.setUpSeconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  if (pod.spec.hostNetwork) {  // CNI is not asked
    pod.netns = places_.proc + "/1/ns/net";
    return {};
  }
  RAILHEAD_TRY_ASSIGN(const CriSandboxStatus status, client_.sandboxStatus(pod.sandboxId));
  if (status.netns.empty()) {
    return Error(ErrorCode::kCorrupt, "the container runtime does not tell the sandbox's netns");
  }
  pod.netns = status.netns;
  RAILHEAD_TRY_ASSIGN(pod.cniResult, cniResultOf(pod.sandboxId));
  return {};
}

// The runtime's own interface tells no more than the primary address, so the CNI library's record
// of the whole chain's result is read: {"result": {...}} in a file "<network>-<sandbox>-eth0".
Result<std::string> CriRuntime::cniResultOf(const std::string& sandboxId) const {
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(places_.cniResults, failed)) {
    if (!entry.path().filename().string().ends_with("-" + sandboxId + "-eth0")) continue;
    std::stringstream text;
    text << std::ifstream(entry.path()).rdbuf();
    const auto record = nlohmann::json::parse(text.str(), nullptr, false);
    if (record.is_object() && record.contains("result") && record["result"].is_object()) {
      return record["result"].dump();
    }
    return Error(ErrorCode::kCorrupt, entry.path().string() + ": no CNI result in it");
  }
  return Error(ErrorCode::kNotFound,
               "no CNI result of sandbox " + sandboxId + " in " + places_.cniResults);
}

Result<void> CriRuntime::start(const Pod& pod, const ContainerPlan& plan) {
  CriContainerConfig config;
  config.name = kContainer;
  config.image = places_.image;
  config.command = pod.spec.command;
  config.environment = podEnvironment(pod);
  for (const auto* mounts : {&places_.programs, &pod.allocation.mounts}) {
    for (const auto& one : *mounts)
      config.mounts.push_back({one.containerPath, one.hostPath, one.readOnly, false});
  }
  for (const auto& one : pod.spec.mounts)
    config.mounts.push_back({one.containerPath, one.hostPath, one.readOnly, one.followsHost});
  config.devices = pod.allocation.deviceNodes;
  config.cdiDevices = pod.allocation.cdiDevices;
  config.annotations = pod.allocation.annotations;
  config.logPath = plan.logName;
  config.capabilities = pod.spec.capabilities;
  config.droppedCapabilities = pod.spec.droppedCapabilities;
  config.readOnlyRoot = pod.spec.readOnlyRoot;
  config.runtimeSeccomp = pod.spec.runtimeSeccomp;
  RAILHEAD_TRY_ASSIGN(
      const std::string id,
      client_.createContainer(pod.sandboxId, config, sandboxConfig(pod, plan.logFolder)));
  {
    const std::lock_guard lock(mutex_);
    containers_[pod.uid] = id;
  }
  return client_.startContainer(id);
}

std::string CriRuntime::containerOf(const Pod& pod) const {
  const std::lock_guard lock(mutex_);
  const auto found = containers_.find(pod.uid);
  return found == containers_.end() ? "" : found->second;
}

// A cgroup goes when nothing is in it; the runtime has removed the ones below.
Result<void> CriRuntime::dropCgroup(const std::string& uid) const {
  const std::string folder = places_.cgroup + kPods + uid;
  if (::rmdir(folder.c_str()) != 0 && errno != ENOENT) {
    return Error::fromErrno(errno, "remove " + folder);
  }
  return {};
}

// Kubelet tries again what the runtime could not do, for instance because a shim ended meanwhile.
Result<void> CriRuntime::removeSandbox(const CriSandbox& sandbox) {
  for (int attempt = 1;; ++attempt) {
    auto gone = client_.stopSandbox(sandbox.id);
    if (gone.has_value()) gone = client_.removeSandbox(sandbox.id);
    if (gone.has_value()) return dropCgroup(sandbox.podUid);
    if (attempt == kTries) return gone;
    std::this_thread::sleep_for(kBetweenTries);
  }
}

// The runtime undoes a sandbox whose network failed by itself, unless that fails too: then it is
// among its sandboxes, without us having got its ID.
std::string CriRuntime::discard(const Pod& pod) {
  const auto all = client_.sandboxes();
  if (!all.has_value()) return all.error().message;
  std::string failed;
  for (const auto& sandbox : *all) {
    if (sandbox.podUid != pod.uid) continue;
    const auto gone = removeSandbox(sandbox);
    if (!gone.has_value()) failed += (failed.empty() ? "" : "; ") + gone.error().message;
  }
  const auto dropped = dropCgroup(pod.uid);
  if (!dropped.has_value()) failed += (failed.empty() ? "" : "; ") + dropped.error().message;
  const std::lock_guard lock(mutex_);
  containers_.erase(pod.uid);
  return failed;
}

Result<void> CriRuntime::breakSandbox(const Pod& pod) const {
  RAILHEAD_TRY_ASSIGN(const auto inode, namespaceId(pod.netns));
  killInside(places_.proc, inode);
  RAILHEAD_TRY(releaseNamespace(pod.netns));
  // Kubelet too acts only on what the runtime has noticed.
  const auto until = std::chrono::steady_clock::now() + kNoticed;
  for (;;) {
    RAILHEAD_TRY_ASSIGN(const CriSandboxStatus status, client_.sandboxStatus(pod.sandboxId));
    if (!status.sandbox.ready) return {};
    if (std::chrono::steady_clock::now() > until) {
      return Error(ErrorCode::kDeadlineExceeded,
                   "the container runtime takes dead sandbox " + pod.sandboxId + " for ready");
    }
    std::this_thread::sleep_for(kPoll);
  }
}

Result<void> CriRuntime::takeDown(const Pod& pod, DeleteMode mode) {
  if (mode != DeleteMode::kProperly) RAILHEAD_TRY(breakSandbox(pod));
  if (mode != DeleteMode::kWithoutDel) {
    const std::string container = containerOf(pod);
    // Gently first. If that fails the sandbox's end is the container's too, as with kubelet.
    if (!container.empty()) {
      [[maybe_unused]] const auto stopped = client_.stopContainer(container, kGrace);
    }
    RAILHEAD_TRY(removeSandbox({pod.sandboxId, {}, {}, pod.uid, false}));
  }
  const std::lock_guard lock(mutex_);
  containers_.erase(pod.uid);
  return {};
}

Result<void> CriRuntime::cleanUp(const std::set<std::string>& kept) {
  RAILHEAD_TRY_ASSIGN(const auto all, client_.sandboxes());
  for (const auto& sandbox : all) {
    if (!kept.contains(sandbox.podUid)) RAILHEAD_TRY(removeSandbox(sandbox));
  }
  return {};
}

std::optional<int> CriRuntime::exitCode(const Pod& pod) {
  const std::string container = containerOf(pod);
  if (container.empty()) return std::nullopt;
  const auto status = client_.containerStatus(container);
  if (!status.has_value() || !status->exited) return std::nullopt;
  return status->exitCode;
}

pid_t CriRuntime::process(const Pod& pod) {
  const std::string container = containerOf(pod);
  if (container.empty()) return 0;
  const auto status = client_.containerStatus(container);
  return status.has_value() && status->running ? status->pid : 0;
}

}  // namespace railhead::lab
