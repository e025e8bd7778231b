#include "lab/testing/fake_cri.h"

#include "runtime_v1.grpc.pb.h"

#include <filesystem>
#include <fstream>
#include <mutex>

#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

namespace railhead::lab {
namespace {

namespace fs = std::filesystem;
namespace wire = ::runtime::v1;
using grpc::ServerContext;
using Answer = grpc::Status;

Answer notFound(const std::string& id) { return {grpc::StatusCode::NOT_FOUND, "no " + id}; }

class Server final : public FakeCri, private wire::RuntimeService::Service {
 public:
  explicit Server(std::string folder) : folder_(std::move(folder)) {}
  ~Server() override { server_->Shutdown(); }

  Result<void> listen() {
    fs::create_directories(folder_ + "/netns");
    fs::create_directories(resultsFolder());
    grpc::ServerBuilder builder;
    builder.AddListeningPort("unix:" + socket(), grpc::InsecureServerCredentials());
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
    if (!server_) return Error(ErrorCode::kIo, "serve CRI at " + socket());
    return {};
  }

  std::string socket() const override { return folder_ + "/cri.sock"; }
  std::string resultsFolder() const override { return folder_ + "/results"; }
  std::map<std::string, Sandbox> sandboxes() const override {
    const std::lock_guard lock(mutex_);
    return sandboxes_;
  }
  std::map<std::string, Container> containers() const override {
    const std::lock_guard lock(mutex_);
    return containers_;
  }
  void refuseSandboxes(const std::string& text, bool leavesIt) override {
    const std::lock_guard lock(mutex_);
    refusal_ = text;
    leavesIt_ = leavesIt;
  }
  void setNetworkReady(bool ready) override {
    const std::lock_guard lock(mutex_);
    networkReady_ = ready;
  }
  void endContainer(const std::string& id, int code) override {
    const std::lock_guard lock(mutex_);
    auto& container = containers_[id];
    container.running = false;
    container.exited = true;
    container.exitCode = code;
  }

 private:
  std::string netnsOf(const std::string& id) const { return folder_ + "/netns/" + id; }
  std::string resultOf(const std::string& id) const {
    return resultsFolder() + "/lab-" + id + "-eth0";
  }

  Answer Version(ServerContext*, const wire::VersionRequest*,
                 wire::VersionResponse* answer) override {
    answer->set_runtime_name("fake");
    answer->set_runtime_version("1.2.3");
    return Answer::OK;
  }
  Answer Status(ServerContext*, const wire::StatusRequest*, wire::StatusResponse* answer) override {
    const std::lock_guard lock(mutex_);
    for (const auto& [type, holds] :
         {std::pair("RuntimeReady", true), std::pair("NetworkReady", networkReady_)}) {
      auto* condition = answer->mutable_status()->add_conditions();
      condition->set_type(type);
      condition->set_status(holds);
      if (!holds) condition->set_message("no network config found");
    }
    return Answer::OK;
  }
  Answer RunPodSandbox(ServerContext*, const wire::RunPodSandboxRequest* request,
                       wire::RunPodSandboxResponse* answer) override {
    const std::lock_guard lock(mutex_);
    const auto& config = request->config();
    const std::string id = "sandbox" + std::to_string(++made_);
    if (refusal_.empty() || leavesIt_) {
      sandboxes_[id] = {config.metadata().name(),
                        config.metadata().uid(),
                        config.linux().cgroup_parent(),
                        {config.annotations().begin(), config.annotations().end()},
                        refusal_.empty()};
    }
    if (!refusal_.empty()) return {grpc::StatusCode::UNKNOWN, refusal_};
    std::ofstream(netnsOf(id)) << "";
    std::ofstream(resultOf(id)) << R"({"kind": "cniCacheV1", "result": {"interfaces": []}})";
    answer->set_pod_sandbox_id(id);
    return Answer::OK;
  }
  Answer StopPodSandbox(ServerContext*, const wire::PodSandboxRequest* request,
                        wire::Nothing*) override {
    const std::lock_guard lock(mutex_);
    const std::string& id = request->pod_sandbox_id();
    const auto found = sandboxes_.find(id);
    if (found == sandboxes_.end()) return Answer::OK;  // as the contract has it
    found->second.ready = false;
    fs::remove(netnsOf(id));
    fs::remove(resultOf(id));
    return Answer::OK;
  }
  Answer RemovePodSandbox(ServerContext*, const wire::PodSandboxRequest* request,
                          wire::Nothing*) override {
    const std::lock_guard lock(mutex_);
    sandboxes_.erase(request->pod_sandbox_id());
    std::erase_if(containers_, [&](const auto& one) {
      return one.second.sandboxId == request->pod_sandbox_id();
    });
    return Answer::OK;
  }
  Answer PodSandboxStatus(ServerContext*, const wire::PodSandboxStatusRequest* request,
                          wire::PodSandboxStatusResponse* answer) override {
    const std::lock_guard lock(mutex_);
    const std::string& id = request->pod_sandbox_id();
    const auto found = sandboxes_.find(id);
    if (found == sandboxes_.end()) return notFound(id);
    auto* status = answer->mutable_status();
    status->set_id(id);
    status->mutable_metadata()->set_uid(found->second.uid);
    status->set_state(found->second.ready ? wire::SANDBOX_READY : wire::SANDBOX_NOTREADY);
    status->mutable_network()->set_ip("10.244.0.2");
    if (request->verbose()) {
      (*answer->mutable_info())["info"] =
          R"({"runtimeSpec": {"linux": {"namespaces": [{"type": "pid"}, {"type": "network", "path": ")" +
          netnsOf(id) + R"("}]}}})";
    }
    return Answer::OK;
  }
  Answer ListPodSandbox(ServerContext*, const wire::ListPodSandboxRequest*,
                        wire::ListPodSandboxResponse* answer) override {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, sandbox] : sandboxes_) {
      auto* item = answer->add_items();
      item->set_id(id);
      item->mutable_metadata()->set_name(sandbox.name);
      item->mutable_metadata()->set_uid(sandbox.uid);
      item->set_state(sandbox.ready ? wire::SANDBOX_READY : wire::SANDBOX_NOTREADY);
    }
    return Answer::OK;
  }
  Answer CreateContainer(ServerContext*, const wire::CreateContainerRequest* request,
                         wire::CreateContainerResponse* answer) override {
    const std::lock_guard lock(mutex_);
    if (!sandboxes_.contains(request->pod_sandbox_id())) return notFound(request->pod_sandbox_id());
    const auto& config = request->config();
    Container made;
    made.sandboxId = request->pod_sandbox_id();
    made.image = config.image().image();
    made.command = {config.command().begin(), config.command().end()};
    for (const auto& one : config.envs()) made.environment[one.key()] = one.value();
    for (const auto& one : config.devices())
      made.devices.push_back(one.host_path() + ":" + one.container_path() + ":" +
                             one.permissions());
    for (const auto& one : config.mounts())
      made.mounts.push_back(one.host_path() + ":" + one.container_path() +
                            (one.readonly() ? ":ro" : "") +
                            (one.propagation() == wire::PROPAGATION_PRIVATE ? "" : ":follows"));
    for (const auto& one : config.cdi_devices()) made.cdiDevices.push_back(one.name());
    const auto& context = config.linux().security_context();
    const auto& added = context.capabilities().add_capabilities();
    made.capabilities = {added.begin(), added.end()};
    const auto& dropped = context.capabilities().drop_capabilities();
    made.droppedCapabilities = {dropped.begin(), dropped.end()};
    made.readOnlyPaths = {context.readonly_paths().begin(), context.readonly_paths().end()};
    made.readOnlyRoot = context.readonly_rootfs();
    made.hostNetwork =
        context.namespace_options().network() == wire::NODE &&
        request->sandbox_config().linux().security_context().namespace_options().network() ==
            wire::NODE;
    made.runtimeSeccomp = context.seccomp().profile_type() == wire::SecurityProfile::RuntimeDefault;
    made.logPath = config.log_path();
    const std::string id = "container" + std::to_string(++made_);
    containers_[id] = std::move(made);
    answer->set_container_id(id);
    return Answer::OK;
  }
  Answer StartContainer(ServerContext*, const wire::ContainerRequest* request,
                        wire::Nothing*) override {
    const std::lock_guard lock(mutex_);
    const auto found = containers_.find(request->container_id());
    if (found == containers_.end()) return notFound(request->container_id());
    found->second.running = true;
    return Answer::OK;
  }
  Answer StopContainer(ServerContext*, const wire::StopContainerRequest* request,
                       wire::Nothing*) override {
    const std::lock_guard lock(mutex_);
    const auto found = containers_.find(request->container_id());
    if (found != containers_.end()) found->second.running = false;
    return Answer::OK;
  }
  Answer RemoveContainer(ServerContext*, const wire::ContainerRequest* request,
                         wire::Nothing*) override {
    const std::lock_guard lock(mutex_);
    containers_.erase(request->container_id());
    return Answer::OK;
  }
  Answer ContainerStatus(ServerContext*, const wire::ContainerStatusRequest* request,
                         wire::ContainerStatusResponse* answer) override {
    const std::lock_guard lock(mutex_);
    const auto found = containers_.find(request->container_id());
    if (found == containers_.end()) return notFound(request->container_id());
    answer->mutable_status()->set_state(found->second.running  ? wire::CONTAINER_RUNNING
                                        : found->second.exited ? wire::CONTAINER_EXITED
                                                               : wire::CONTAINER_CREATED);
    answer->mutable_status()->set_exit_code(found->second.exitCode);
    if (request->verbose()) (*answer->mutable_info())["info"] = R"({"pid": 4711})";
    return Answer::OK;
  }
  Answer ListContainers(ServerContext*, const wire::ListContainersRequest*,
                        wire::ListContainersResponse* answer) override {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, container] : containers_) {
      auto* item = answer->add_containers();
      item->set_id(id);
      item->set_pod_sandbox_id(container.sandboxId);
    }
    return Answer::OK;
  }

  const std::string folder_;
  std::unique_ptr<grpc::Server> server_;
  mutable std::mutex mutex_;
  std::map<std::string, Sandbox> sandboxes_;
  std::map<std::string, Container> containers_;
  std::string refusal_;
  bool leavesIt_ = false;
  bool networkReady_ = true;
  int made_ = 0;
};

}  // namespace

Result<std::unique_ptr<FakeCri>> FakeCri::start(const std::string& folder) {
  auto server = std::make_unique<Server>(folder);
  RAILHEAD_TRY(server->listen());
  return std::unique_ptr<FakeCri>(std::move(server));
}

}  // namespace railhead::lab
