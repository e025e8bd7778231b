#include "lab/cri/cri_client.h"

#include "runtime_v1.grpc.pb.h"
#include "src/base/text.h"
#include "src/kube/rpc/channel.h"
#include "src/kube/rpc/status.h"

#include <array>
#include <mutex>
#include <utility>

#include <grpcpp/client_context.h>
#include <nlohmann/json.hpp>

namespace railhead::lab {
namespace {

namespace wire = ::runtime::v1;
using nlohmann::json;

// A sandbox takes seconds in an emulated node, and its CNI plugins may each wait for theirs.
constexpr std::chrono::seconds kLong{120};
constexpr std::chrono::seconds kShort{20};

os::Deadline in(std::chrono::seconds wait) { return std::chrono::steady_clock::now() + wait; }

template <typename Map>
void copyInto(const std::map<std::string, std::string>& from, Map* into) {
  for (const auto& [key, value] : from) (*into)[key] = value;
}

// As kubelet asks for: a process namespace for each container.
wire::NamespaceOption namespaces(const CriSandboxConfig& sandbox) {
  wire::NamespaceOption option;
  option.set_pid(wire::CONTAINER);
  if (sandbox.hostNetwork) option.set_network(wire::NODE);
  return option;
}

wire::PodSandboxConfig toWire(const CriSandboxConfig& from) {
  wire::PodSandboxConfig config;
  auto* metadata = config.mutable_metadata();
  metadata->set_name(from.podName);
  metadata->set_namespace_(from.podNamespace);
  metadata->set_uid(from.podUid);
  metadata->set_attempt(from.attempt);
  if (!from.hostNetwork) config.set_hostname(from.podName.substr(0, 63));
  config.set_log_directory(from.logFolder);
  copyInto(from.annotations, config.mutable_annotations());
  copyInto({{"io.kubernetes.pod.name", from.podName},
            {"io.kubernetes.pod.namespace", from.podNamespace},
            {"io.kubernetes.pod.uid", from.podUid}},
           config.mutable_labels());
  auto* linux_ = config.mutable_linux();
  linux_->set_cgroup_parent(from.cgroupParent);
  linux_->mutable_security_context()->set_privileged(from.privileged);
  *linux_->mutable_security_context()->mutable_namespace_options() = namespaces(from);
  return config;
}

// What no container of Kubernetes sees or may write, unless it is privileged.
constexpr std::array kMasked{"/proc/asound",
                             "/proc/acpi",
                             "/proc/kcore",
                             "/proc/keys",
                             "/proc/latency_stats",
                             "/proc/timer_list",
                             "/proc/timer_stats",
                             "/proc/sched_debug",
                             "/proc/scsi",
                             "/sys/firmware",
                             "/sys/devices/virtual/powercap"};
constexpr std::array kReadOnly{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                               "/proc/sysrq-trigger"};

void secure(const CriContainerConfig& from, const CriSandboxConfig& sandbox,
            wire::LinuxContainerSecurityContext& context) {
  context.set_privileged(from.privileged);
  *context.mutable_namespace_options() = namespaces(sandbox);
  for (const auto& one : from.capabilities)
    context.mutable_capabilities()->add_add_capabilities(one);
  for (const auto& one : from.droppedCapabilities)
    context.mutable_capabilities()->add_drop_capabilities(one);
  context.set_readonly_rootfs(from.readOnlyRoot);
  context.mutable_seccomp()->set_profile_type(from.runtimeSeccomp
                                                  ? wire::SecurityProfile::RuntimeDefault
                                                  : wire::SecurityProfile::Unconfined);
  if (from.privileged) return;
  for (const char* path : kMasked) context.add_masked_paths(path);
  for (const char* path : kReadOnly) context.add_readonly_paths(path);
}

wire::ContainerConfig toWire(const CriContainerConfig& from, const CriSandboxConfig& sandbox) {
  wire::ContainerConfig config;
  config.mutable_metadata()->set_name(from.name);
  config.mutable_image()->set_image(from.image);
  for (const auto& word : from.command) config.add_command(word);
  for (const auto& [name, value] : from.environment) {
    auto* variable = config.add_envs();
    variable->set_key(name);
    variable->set_value(value);
  }
  for (const auto& mount : from.mounts) {
    auto* added = config.add_mounts();
    added->set_container_path(mount.containerPath);
    added->set_host_path(mount.hostPath);
    added->set_readonly(mount.readOnly);
    if (mount.followsHost) added->set_propagation(wire::PROPAGATION_HOST_TO_CONTAINER);
  }
  for (const auto& device : from.devices) {
    auto* added = config.add_devices();
    added->set_container_path(device.containerPath);
    added->set_host_path(device.hostPath);
    added->set_permissions(device.permissions);
  }
  for (const auto& device : from.cdiDevices) config.add_cdi_devices()->set_name(device);
  copyInto(from.annotations, config.mutable_annotations());
  config.mutable_labels()->insert({"io.kubernetes.container.name", from.name});
  config.set_log_path(from.logPath);
  secure(from, sandbox, *config.mutable_linux()->mutable_security_context());
  return config;
}

template <typename Wire>
CriSandbox fromWire(const Wire& from) {
  return {from.id(), from.metadata().namespace_(), from.metadata().name(), from.metadata().uid(),
          from.state() == wire::SANDBOX_READY};
}

// The runtime's own notes on a thing, JSON under "info": no contract, so anything may be missing.
template <typename Response>
json notes(const Response& response) {
  const auto found = response.info().find("info");
  if (found == response.info().end()) return json::object();
  json parsed = json::parse(found->second, nullptr, false);
  return parsed.is_object() ? std::move(parsed) : json::object();
}

// Path of the network namespace in the OCI specification among the notes.
std::string netnsIn(const json& all) {
  const json::json_pointer path("/runtimeSpec/linux/namespaces");
  if (!all.contains(path) || !all.at(path).is_array()) return {};
  for (const auto& one : all.at(path)) {
    if (!one.is_object() || one.value("type", json()) != "network") continue;
    const auto where = one.find("path");
    if (where != one.end() && where->is_string()) return where->get<std::string>();
  }
  return {};
}

}  // namespace

class CriClient::Connection {
 public:
  explicit Connection(std::string socketPath) : socketPath_(std::move(socketPath)) {}

  using Stub = wire::RuntimeService::Stub;

  template <typename Request, typename Response>
  Result<Response> call(const std::string& what, std::chrono::seconds patience,
                        grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                     Response*),
                        const Request& request) {
    const os::Deadline deadline = in(patience);
    RAILHEAD_TRY_ASSIGN(const auto stub, connect(deadline).addContext(what));
    grpc::ClientContext context;
    context.set_deadline(kube::rpc::toWallClock(deadline));
    Response response;
    const auto status = (stub.get()->*method)(&context, request, &response);
    if (status.ok()) return response;
    if (status.error_code() == grpc::StatusCode::UNAVAILABLE) drop(stub);
    return kube::rpc::fromStatus(status, what + " at " + socketPath_);
  }

 private:
  Result<std::shared_ptr<Stub>> connect(os::Deadline deadline) {
    const std::lock_guard lock(mutex_);
    if (!stub_) {
      RAILHEAD_TRY_ASSIGN(const auto channel, kube::rpc::connectChannel(socketPath_, deadline));
      stub_ = wire::RuntimeService::NewStub(channel);
    }
    return stub_;
  }

  void drop(const std::shared_ptr<Stub>& dead) {
    const std::lock_guard lock(mutex_);
    if (stub_ == dead) stub_.reset();
  }

  const std::string socketPath_;
  std::mutex mutex_;
  std::shared_ptr<Stub> stub_;
};

CriClient::CriClient(std::string socketPath)
    : connection_(std::make_unique<Connection>(std::move(socketPath))) {}
CriClient::~CriClient() = default;

Result<CriVersion> CriClient::version() const {
  wire::VersionRequest request;
  request.set_version("v1");
  RAILHEAD_TRY_ASSIGN(
      const auto answer,
      connection_->call("CRI Version", kShort, &wire::RuntimeService::Stub::Version, request));
  return CriVersion{answer.runtime_name(), answer.runtime_version()};
}

Result<std::vector<CriCondition>> CriClient::status() const {
  RAILHEAD_TRY_ASSIGN(const auto answer,
                      connection_->call("CRI Status", kShort, &wire::RuntimeService::Stub::Status,
                                        wire::StatusRequest()));
  std::vector<CriCondition> all;
  for (const auto& one : answer.status().conditions()) {
    all.push_back({one.type(), one.status(), one.message()});
  }
  return all;
}

Result<std::string> CriClient::runSandbox(const CriSandboxConfig& config) const {
  wire::RunPodSandboxRequest request;
  *request.mutable_config() = toWire(config);
  RAILHEAD_TRY_ASSIGN(const auto answer,
                      connection_->call("CRI RunPodSandbox", kLong,
                                        &wire::RuntimeService::Stub::RunPodSandbox, request));
  return answer.pod_sandbox_id();
}

Result<void> CriClient::stopSandbox(const std::string& id) const {
  wire::PodSandboxRequest request;
  request.set_pod_sandbox_id(id);
  RAILHEAD_TRY(connection_->call("CRI StopPodSandbox", kLong,
                                 &wire::RuntimeService::Stub::StopPodSandbox, request));
  return {};
}

Result<void> CriClient::removeSandbox(const std::string& id) const {
  wire::PodSandboxRequest request;
  request.set_pod_sandbox_id(id);
  RAILHEAD_TRY(connection_->call("CRI RemovePodSandbox", kLong,
                                 &wire::RuntimeService::Stub::RemovePodSandbox, request));
  return {};
}

Result<CriSandboxStatus> CriClient::sandboxStatus(const std::string& id) const {
  wire::PodSandboxStatusRequest request;
  request.set_pod_sandbox_id(id);
  request.set_verbose(true);
  RAILHEAD_TRY_ASSIGN(const auto answer,
                      connection_->call("CRI PodSandboxStatus", kShort,
                                        &wire::RuntimeService::Stub::PodSandboxStatus, request));
  return CriSandboxStatus{fromWire(answer.status()), answer.status().network().ip(),
                          netnsIn(notes(answer))};
}

Result<std::vector<CriSandbox>> CriClient::sandboxes() const {
  RAILHEAD_TRY_ASSIGN(
      const auto answer,
      connection_->call("CRI ListPodSandbox", kShort, &wire::RuntimeService::Stub::ListPodSandbox,
                        wire::ListPodSandboxRequest()));
  std::vector<CriSandbox> all;
  for (const auto& one : answer.items()) all.push_back(fromWire(one));
  return all;
}

Result<std::string> CriClient::createContainer(const std::string& sandboxId,
                                               const CriContainerConfig& config,
                                               const CriSandboxConfig& sandbox) const {
  wire::CreateContainerRequest request;
  request.set_pod_sandbox_id(sandboxId);
  *request.mutable_config() = toWire(config, sandbox);
  *request.mutable_sandbox_config() = toWire(sandbox);
  RAILHEAD_TRY_ASSIGN(const auto answer,
                      connection_->call("CRI CreateContainer", kLong,
                                        &wire::RuntimeService::Stub::CreateContainer, request));
  return answer.container_id();
}

Result<void> CriClient::startContainer(const std::string& id) const {
  wire::ContainerRequest request;
  request.set_container_id(id);
  RAILHEAD_TRY(connection_->call("CRI StartContainer", kLong,
                                 &wire::RuntimeService::Stub::StartContainer, request));
  return {};
}

Result<void> CriClient::stopContainer(const std::string& id, std::chrono::seconds grace) const {
  wire::StopContainerRequest request;
  request.set_container_id(id);
  request.set_timeout(grace.count());
  RAILHEAD_TRY(connection_->call("CRI StopContainer", kLong + grace,
                                 &wire::RuntimeService::Stub::StopContainer, request));
  return {};
}

Result<void> CriClient::removeContainer(const std::string& id) const {
  wire::ContainerRequest request;
  request.set_container_id(id);
  RAILHEAD_TRY(connection_->call("CRI RemoveContainer", kLong,
                                 &wire::RuntimeService::Stub::RemoveContainer, request));
  return {};
}

Result<CriContainerStatus> CriClient::containerStatus(const std::string& id) const {
  wire::ContainerStatusRequest request;
  request.set_container_id(id);
  request.set_verbose(true);
  RAILHEAD_TRY_ASSIGN(const auto answer,
                      connection_->call("CRI ContainerStatus", kShort,
                                        &wire::RuntimeService::Stub::ContainerStatus, request));
  CriContainerStatus status;
  status.running = answer.status().state() == wire::CONTAINER_RUNNING;
  status.exited = answer.status().state() == wire::CONTAINER_EXITED;
  status.exitCode = answer.status().exit_code();
  const json all = notes(answer);
  const auto pid = all.find("pid");
  if (pid != all.end() && pid->is_number_unsigned()) status.pid = pid->get<pid_t>();
  return status;
}

Result<std::vector<CriContainer>> CriClient::containers() const {
  RAILHEAD_TRY_ASSIGN(
      const auto answer,
      connection_->call("CRI ListContainers", kShort, &wire::RuntimeService::Stub::ListContainers,
                        wire::ListContainersRequest()));
  std::vector<CriContainer> all;
  for (const auto& one : answer.containers()) {
    all.push_back({one.id(), one.pod_sandbox_id(), one.metadata().name()});
  }
  return all;
}

}  // namespace railhead::lab
