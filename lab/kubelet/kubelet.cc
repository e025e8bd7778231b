#include "lab/kubelet/kubelet.h"

#include "lab/kubelet/pod_json.h"
#include "src/base/text.h"
#include "src/kube/resource_name.h"
#include "src/os/host_paths.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>
#include <utility>

#include <nlohmann/json.hpp>
#include <sys/stat.h>

namespace railhead::lab {
namespace {

constexpr const char* kVersion = "v1beta1";
constexpr std::chrono::seconds kDialDeadline{10};
constexpr std::chrono::seconds kCallDeadline{10};

double secondsSinceBoot() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

os::Deadline in(std::chrono::milliseconds wait) { return std::chrono::steady_clock::now() + wait; }

std::string randomHex(std::size_t digits) {
  std::random_device random;
  std::string text;
  while (text.size() < digits) text += "0123456789abcdef"[random() & 15];
  return text;
}

std::string randomUuid() {
  std::string hex = randomHex(32);
  hex[12] = '4';
  hex[16] = "89ab"[static_cast<unsigned char>(hex[16]) & 3];
  return hex.substr(0, 8) + "-" + hex.substr(8, 4) + "-" + hex.substr(12, 4) + "-" +
         hex.substr(16, 4) + "-" + hex.substr(20);
}

bool isSocket(const std::string& path) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0 && S_ISSOCK(info.st_mode);
}

void merge(const kube::AllocateAnswer& from, kube::AllocateAnswer& into) {
  into.env.insert(from.env.begin(), from.env.end());
  into.annotations.insert(from.annotations.begin(), from.annotations.end());
  into.mounts.insert(into.mounts.end(), from.mounts.begin(), from.mounts.end());
  into.deviceNodes.insert(into.deviceNodes.end(), from.deviceNodes.begin(), from.deviceNodes.end());
  into.cdiDevices.insert(into.cdiDevices.end(), from.cdiDevices.begin(), from.cdiDevices.end());
}

}  // namespace

Kubelet::Kubelet(KubeletOptions options, PodRuntime& runtime)
    : options_(std::move(options)), runtime_(runtime), refuseWith_(options_.refuseWith) {}

Kubelet::~Kubelet() { stop(); }

Result<void> Kubelet::removeSockets() const {
  std::error_code failed;
  for (const auto& folder : {options_.pluginsFolder, options_.podResourcesFolder}) {
    std::filesystem::create_directories(folder, failed);
    if (failed) return Error::fromErrno(failed.value(), "make " + folder);
  }
  for (const auto& entry : std::filesystem::directory_iterator(options_.pluginsFolder, failed)) {
    if (!isSocket(entry.path().string())) continue;
    std::error_code kept;
    std::filesystem::remove(entry.path(), kept);
    if (kept) return Error::fromErrno(kept.value(), "remove " + entry.path().string());
  }
  if (failed) return Error::fromErrno(failed.value(), "list " + options_.pluginsFolder);
  // The one file that stays in the folder while kubelet is away.
  std::ofstream(options_.pluginsFolder + "/" + os::kKubeletCheckpoint) << "{}";
  return {};
}

Result<void> Kubelet::start() {
  const std::lock_guard lifecycle(lifecycle_);
  if (services_) return Error(ErrorCode::kAlreadyExists, "kubelet stand-in: already started");
  RAILHEAD_TRY(removeSockets());
  {
    const std::lock_guard lock(mutex_);
    ledger_.forgetDevices();
    changed_.notify_all();
  }
  RAILHEAD_TRY_ASSIGN(
      services_,
      Services::start({options_.pluginsFolder + "/" + os::kKubeletSocket,
                       options_.podResourcesFolder + "/" + os::kKubeletSocket, options_.offersGet},
                      *this));
  return {};
}

void Kubelet::stop() {
  const std::lock_guard lifecycle(lifecycle_);
  services_.reset();  // no registration comes after this
  std::map<std::string, std::vector<std::shared_ptr<PluginLink>>> links;
  {
    const std::lock_guard lock(mutex_);
    links.swap(links_);
  }
  for (const auto& [resource, all] : links) {
    for (const auto& link : all) link->close();
  }
}

Result<void> Kubelet::restart() {
  stop();
  return start();
}

void Kubelet::refuseRegistrations(const std::string& text) {
  const std::lock_guard lock(mutex_);
  refuseWith_ = text;
}

void Kubelet::dropPlugin(const std::string& resource) {
  std::shared_ptr<PluginLink> link;
  {
    const std::lock_guard lock(mutex_);
    const auto found = links_.find(resource);
    if (found == links_.end() || found->second.empty()) return;
    link = std::move(found->second.back());
    found->second.pop_back();
    ledger_.markUnhealthy(resource);
    ledger_.setConnected(resource, false);
    changed_.notify_all();
  }
  link->close();
}

// Path of the plugin's socket, or why it cannot be one.
Result<std::string> Kubelet::checkEndpoint(const RegistrationRequest& request) const {
  if (request.version != kVersion) {
    return Error(ErrorCode::kUnsupported, "API version " + inQuotes(request.version) +
                                              " is not supported, only " + kVersion + " is");
  }
  RAILHEAD_TRY(kube::checkResourceName(request.resource));
  const std::string& name = request.endpoint;
  if (name.empty() || name == "." || name == ".." || name == os::kKubeletSocket ||
      name.find('/') != std::string::npos) {
    return Error(ErrorCode::kInvalidArgument, "endpoint " + inQuotes(name) + ": a socket in " +
                                                  options_.pluginsFolder + " other than " +
                                                  os::kKubeletSocket);
  }
  const std::string path = options_.pluginsFolder + "/" + name;
  if (!isSocket(path)) {
    return Error(ErrorCode::kNotFound, "endpoint " + inQuotes(name) + ": no socket at " + path);
  }
  return path;
}

Result<void> Kubelet::onRegister(const RegistrationRequest& request) {
  {
    const std::lock_guard lock(mutex_);
    if (!refuseWith_.empty()) return Error(ErrorCode::kInvalidArgument, refuseWith_);
  }
  RAILHEAD_TRY_ASSIGN(const std::string path, checkEndpoint(request));
  RAILHEAD_TRY_ASSIGN(auto dialled, PluginLink::dial(path, in(kDialDeadline)));
  const std::shared_ptr<PluginLink> link = std::move(dialled);
  const std::lock_guard lock(mutex_);
  links_[request.resource].push_back(link);
  ledger_.setConnected(request.resource, true);
  ++registrations_;
  link->watch(
      [this, resource = request.resource](const std::vector<kube::Device>& list) {
        listArrived(resource, list);
      },
      [this, resource = request.resource, self = link.get()] { linkEnded(resource, self); });
  changed_.notify_all();
  return {};
}

void Kubelet::listArrived(const std::string& resource, const std::vector<kube::Device>& devices) {
  const std::lock_guard lock(mutex_);
  ledger_.setDevices(resource, devices, secondsSinceBoot());
  changed_.notify_all();
}

void Kubelet::linkEnded(const std::string& resource, const PluginLink* from) {
  const std::lock_guard lock(mutex_);
  const auto links = links_.find(resource);
  if (links == links_.end()) return;
  ledger_.markUnhealthy(resource);
  const bool newest = !links->second.empty() && links->second.back().get() == from;
  if (newest) ledger_.setConnected(resource, false);
  changed_.notify_all();
}

std::vector<HeldDevice> Kubelet::heldDevices() {
  const std::lock_guard lock(mutex_);
  std::vector<HeldDevice> lines;
  for (const auto& [name, pod] : pods_) {
    if (pod.devices.empty()) lines.push_back({name.podNamespace, name.name, "", {}});
    for (const auto& [resource, ids] : pod.devices) {
      for (const auto& id : ids) {
        lines.push_back({name.podNamespace, name.name, resource,
                         ledger_.find(resource, id).value_or(kube::Device{id, false, {}})});
      }
    }
  }
  return lines;
}

bool Kubelet::admitsCall() {
  const std::lock_guard lock(mutex_);
  return ++podResourcesCalls_ > static_cast<std::uint64_t>(options_.rejectedCalls);
}

std::vector<HeldDevice> Kubelet::allDevices() {
  std::vector<HeldDevice> lines;
  for (const auto& [resource, status] : this->status().resources) {
    for (const auto& device : status.devices) lines.push_back({"", "", resource, device});
  }
  return lines;
}

Result<Pod> Kubelet::runPod(const PodSpec& spec) {
  Pod pod;
  pod.spec = spec;
  pod.uid = randomUuid();
  RAILHEAD_TRY(admit(pod));
  auto ready = bringUp(pod);
  if (ready.has_value()) return pod;
  Error error = std::move(ready).error().addContext("pod " + spec.name.text());
  const std::string failed = runtime_.discard(pod);
  if (!failed.empty()) error.message += "; clean-up: " + failed;
  forget(spec.name);
  return error;
}

// Devices for every resource, or none: then nothing is held.
Result<void> Kubelet::admit(Pod& pod) {
  const std::lock_guard admission(admission_);
  const PodName& name = pod.spec.name;
  {
    const std::lock_guard lock(mutex_);
    if (pods_.contains(name)) {
      return Error(ErrorCode::kAlreadyExists, "pod " + name.text() + " exists already",
                   "delete it first");
    }
  }
  for (const auto& [resource, count] : pod.spec.resources) {
    auto allocated = allocate(pod, resource, count);
    if (!allocated.has_value()) {
      forget(name);
      return allocated;
    }
  }
  const std::lock_guard lock(mutex_);
  pods_[name] = pod;
  changed_.notify_all();
  return {};
}

Result<void> Kubelet::allocate(Pod& pod, const std::string& resource, int count) {
  std::vector<std::string> available;
  std::shared_ptr<PluginLink> link;
  {
    const std::lock_guard lock(mutex_);
    RAILHEAD_TRY_ASSIGN(available, ledger_.available(pod.spec.name, resource, count));
    const auto found = links_.find(resource);
    if (found != links_.end() && !found->second.empty()) link = found->second.back();
  }
  if (!link) {
    return Error(ErrorCode::kUnavailable, "pod " + pod.spec.name.text() + " waits: the plugin of " +
                                              resource + " is not connected");
  }
  std::vector<std::string> preferred;
  // As kubelet: the plugin is asked only where there is a choice and where it offers to.
  if (link->offersPreference() && available.size() > static_cast<std::size_t>(count)) {
    RAILHEAD_TRY_ASSIGN(preferred, link->preferred(available, count, in(kCallDeadline)));
  }
  const auto chosen = DeviceLedger::choose(available, preferred, count);
  RAILHEAD_TRY_ASSIGN(const auto answer, link->allocate(chosen, in(kCallDeadline)));
  merge(answer, pod.allocation);
  pod.devices[resource] = chosen;
  const std::lock_guard lock(mutex_);
  ledger_.hold(pod.spec.name, resource, chosen);
  return {};
}

ContainerPlan Kubelet::planFor(const PodName& name) const {
  return {options_.logFolder, name.podNamespace + "_" + name.name + ".log", options_.environment};
}

Result<void> Kubelet::bringUp(Pod& pod) {
  const ContainerPlan plan = planFor(pod.spec.name);
  std::error_code failed;
  std::filesystem::create_directories(plan.logFolder, failed);
  if (failed) return Error::fromErrno(failed.value(), "make " + plan.logFolder);
  const double begun = secondsSinceBoot();
  RAILHEAD_TRY(runtime_.setUp(pod, plan));
  const double up = secondsSinceBoot();
  if (pod.setUpSeconds == 0) pod.setUpSeconds = up - begun;  // the runtime may know better
  RAILHEAD_TRY(runtime_.start(pod, plan));
  pod.startSeconds = secondsSinceBoot() - up;
  pod.made = true;
  const std::lock_guard lock(mutex_);
  pods_[pod.spec.name] = pod;
  changed_.notify_all();
  return {};
}

void Kubelet::forget(const PodName& name) {
  const std::lock_guard lock(mutex_);
  ledger_.release(name);
  pods_.erase(name);
  changed_.notify_all();
}

Result<void> Kubelet::deletePod(const PodName& name, DeleteMode mode) {
  RAILHEAD_TRY_ASSIGN(const Pod pod, findPod(name));
  if (!pod.made) {
    return Error(ErrorCode::kBusy, "pod " + name.text() + " is still being made");
  }
  // A refusal leaves the pod and its devices where they are: kubelet would try again.
  RAILHEAD_TRY(runtime_.takeDown(pod, mode).addContext("pod " + name.text()));
  forget(name);
  return {};
}

Result<void> Kubelet::cleanUp() {
  std::set<std::string> kept;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [name, pod] : pods_) kept.insert(pod.uid);
  }
  return runtime_.cleanUp(kept);
}

Result<Pod> Kubelet::findPod(const PodName& name) const {
  const std::lock_guard lock(mutex_);
  const auto found = pods_.find(name);
  if (found != pods_.end()) return found->second;
  std::vector<std::string> known;
  for (const auto& [other, pod] : pods_) known.push_back(other.text());
  return Error(ErrorCode::kNotFound, "pod " + name.text() + " does not exist; there are: " +
                                         (known.empty() ? "none" : join(known, ", ")));
}

std::string Kubelet::logFile(const PodName& name) const {
  const ContainerPlan plan = planFor(name);
  return plan.logFolder + "/" + plan.logName;
}

KubeletStatus Kubelet::status() const {
  KubeletStatus status;
  {
    const std::lock_guard lock(mutex_);
    status = statusLocked();
  }
  for (auto& one : status.pods) one.exitCode = runtime_.exitCode(one.pod);
  return status;
}

KubeletStatus Kubelet::statusLocked() const {
  KubeletStatus status{ledger_.status(), {}, registrations_, podResourcesCalls_};
  for (const auto& [name, pod] : pods_) status.pods.push_back({pod, std::nullopt});
  return status;
}

bool Kubelet::waitFor(const std::function<bool(const KubeletStatus&)>& wanted,
                      os::Deadline deadline) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_until(lock, deadline, [&] { return wanted(statusLocked()); });
}

std::string statusToJson(const KubeletStatus& status) {
  using nlohmann::json;
  json allocatable = json::object();
  json capacity = json::object();
  json unhealthy = json::object();
  json resources = json::object();
  for (const auto& [name, resource] : status.resources) {
    allocatable[name] = resource.allocatable;
    capacity[name] = resource.capacity;
    unhealthy[name] = json::array();
    json devices = json::array();
    for (const auto& device : resource.devices) {
      if (!device.healthy) unhealthy[name].push_back(device.id);
      const auto holder = resource.holders.find(device.id);
      devices.push_back(
          {{"id", device.id},
           {"healthy", device.healthy},
           {"numa", device.numaNodes},
           {"pod", holder == resource.holders.end() ? json() : json(holder->second)}});
    }
    resources[name] = {{"connected", resource.connected},
                       {"listed_at", resource.listedAt},
                       {"free", resource.free},
                       {"devices", devices}};
  }
  json pods = json::array();
  for (const auto& [pod, exitCode] : status.pods) {
    json one = podAsJson(pod);
    if (!pod.spec.command.empty()) one["exitCode"] = exitCode ? json(*exitCode) : json();
    pods.push_back(std::move(one));
  }
  const json all = {{"allocatable", allocatable},
                    {"capacity", capacity},
                    {"unhealthy", unhealthy},
                    {"resources", resources},
                    {"pods", pods},
                    {"registrations", status.registrations}};
  return all.dump(2, ' ', false, json::error_handler_t::replace);
}

}  // namespace railhead::lab
