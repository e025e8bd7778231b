#include "lab/kubelet/direct_runtime.h"

#include <random>
#include <utility>

namespace railhead::lab {
namespace {

std::string randomSandboxId() {
  std::random_device random;
  std::string text;
  while (text.size() < 64) text += "0123456789abcdef"[random() & 15];
  return text;
}

CniRequest requestFor(const Pod& pod) {
  CniRequest request;
  request.containerId = pod.sandboxId;
  request.netns = pod.netns;
  request.podNamespace = pod.spec.name.podNamespace;
  request.podName = pod.spec.name.name;
  request.podUid = pod.uid;
  request.annotations = pod.spec.annotations;
  return request;
}

}  // namespace

Result<void> DirectRuntime::setUp(Pod& pod, const ContainerPlan&) {
  pod.sandboxId = randomSandboxId();
  RAILHEAD_TRY_ASSIGN(pod.netns, sandboxes_.make("cni-" + pod.uid));
  RAILHEAD_TRY_ASSIGN(pod.cniResult, cni_.add(requestFor(pod)));
  return {};
}

Result<void> DirectRuntime::start(const Pod& pod, const ContainerPlan& plan) {
  if (pod.spec.command.empty()) return {};
  Container::Plan process{pod.spec.command, podEnvironment(pod), pod.netns,
                          plan.logFolder + "/" + plan.logName};
  process.environment.insert(plan.environment.begin(), plan.environment.end());
  RAILHEAD_TRY_ASSIGN(auto container, Container::start(process));
  const std::lock_guard lock(mutex_);
  containers_[pod.uid] = std::move(container);
  return {};
}

std::unique_ptr<Container> DirectRuntime::takeContainer(const Pod& pod) {
  const std::lock_guard lock(mutex_);
  const auto found = containers_.find(pod.uid);
  if (found == containers_.end()) return nullptr;
  auto container = std::move(found->second);
  containers_.erase(found);
  return container;
}

// What containerd does with a sandbox whose network failed: DEL for all, then away with it.
std::string DirectRuntime::discard(const Pod& pod) {
  takeContainer(pod).reset();
  if (pod.netns.empty()) return {};
  std::string failed;
  const auto undone = cni_.remove(requestFor(pod), pod.cniResult);
  if (!undone.has_value()) failed = undone.error().message;
  const auto gone = sandboxes_.remove(pod.netns);
  if (!gone.has_value()) failed += (failed.empty() ? "" : "; ") + gone.error().message;
  return failed;
}

Result<void> DirectRuntime::takeDown(const Pod& pod, DeleteMode mode) {
  takeContainer(pod).reset();  // its processes would keep the namespace alive
  CniRequest request = requestFor(pod);
  if (mode != DeleteMode::kProperly) {
    RAILHEAD_TRY(sandboxes_.remove(pod.netns));
    request.netns.clear();
  }
  if (mode != DeleteMode::kWithoutDel) {
    // A refusal leaves the pod and its devices where they are: kubelet would try again.
    RAILHEAD_TRY(cni_.remove(request, pod.cniResult));
  }
  if (mode == DeleteMode::kProperly) RAILHEAD_TRY(sandboxes_.remove(pod.netns));
  return {};
}

std::optional<int> DirectRuntime::exitCode(const Pod& pod) {
  const std::lock_guard lock(mutex_);
  const auto found = containers_.find(pod.uid);
  return found == containers_.end() ? std::nullopt : found->second->exitCode();
}

}  // namespace railhead::lab
