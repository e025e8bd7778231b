#include "lab/kubelet/services.h"

#include "deviceplugin_v1beta1.grpc.pb.h"
#include "podresources_v1.grpc.pb.h"
#include "src/kube/rpc/library.h"
#include "src/kube/rpc/status.h"
#include "src/os/unix_socket.h"

#include <chrono>
#include <utility>

#include <grpcpp/resource_quota.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

namespace railhead::lab {
namespace {

class RegistrationService final : public v1beta1::Registration::Service {
 public:
  explicit RegistrationService(Desk& desk) : desk_(desk) {}
  grpc::Status Register(grpc::ServerContext*, const v1beta1::RegisterRequest* request,
                        v1beta1::Empty*) override {
    const auto accepted =
        desk_.onRegister({request->version(), request->endpoint(), request->resource_name()});
    if (accepted.has_value()) return grpc::Status::OK;
    // Kubelet's errors carry no class.
    return {grpc::StatusCode::UNKNOWN, accepted.error().describe()};
  }

 private:
  Desk& desk_;
};

void writeDevice(const HeldDevice& held, v1::ContainerDevices& out) {
  out.set_resource_name(held.resource);
  out.add_device_ids(held.device.id);
  for (const int node : held.device.numaNodes) out.mutable_topology()->add_nodes()->set_id(node);
}

// `lines` of one pod stand together. Kubelet writes an entry per device.
void writePods(const std::vector<HeldDevice>& lines, v1::ListPodResourcesResponse& out) {
  v1::PodResources* pod = nullptr;
  for (const auto& line : lines) {
    if (pod == nullptr || pod->name() != line.pod || pod->namespace_() != line.podNamespace) {
      pod = out.add_pod_resources();
      pod->set_name(line.pod);
      pod->set_namespace_(line.podNamespace);
      pod->add_containers()->set_name("main");
    }
    if (!line.resource.empty()) writeDevice(line, *pod->mutable_containers(0)->add_devices());
  }
}

const grpc::Status kTooFast{grpc::StatusCode::RESOURCE_EXHAUSTED, "rejected by rate limit"};

class PodResourcesService final : public v1::PodResourcesLister::Service {
 public:
  PodResourcesService(Desk& desk, bool offersGet) : desk_(desk), offersGet_(offersGet) {}

  grpc::Status List(grpc::ServerContext*, const v1::ListPodResourcesRequest*,
                    v1::ListPodResourcesResponse* response) override {
    if (!desk_.admitsCall()) return kTooFast;
    writePods(desk_.heldDevices(), *response);
    return grpc::Status::OK;
  }

  grpc::Status GetAllocatableResources(grpc::ServerContext*, const v1::AllocatableResourcesRequest*,
                                       v1::AllocatableResourcesResponse* response) override {
    if (!desk_.admitsCall()) return kTooFast;
    for (const auto& line : desk_.allDevices()) writeDevice(line, *response->add_devices());
    return grpc::Status::OK;
  }

  grpc::Status Get(grpc::ServerContext*, const v1::GetPodResourcesRequest* request,
                   v1::GetPodResourcesResponse* response) override {
    if (!desk_.admitsCall()) return kTooFast;
    if (!offersGet_) return {grpc::StatusCode::UNIMPLEMENTED, "unknown method Get"};
    v1::ListPodResourcesResponse all;
    writePods(desk_.heldDevices(), all);
    for (const auto& pod : all.pod_resources()) {
      if (pod.name() == request->pod_name() && pod.namespace_() == request->pod_namespace()) {
        *response->mutable_pod_resources() = pod;
        return grpc::Status::OK;
      }
    }
    return {grpc::StatusCode::UNKNOWN, "pod " + request->pod_name() + " in namespace " +
                                           request->pod_namespace() + " not found"};
  }

 private:
  Desk& desk_;
  const bool offersGet_;
};

Result<std::unique_ptr<grpc::Server>> serve(const std::string& path, grpc::Service& service) {
  if (path.size() > os::kMaxUnixPath) {
    return Error(ErrorCode::kInvalidArgument, "socket path " + path + ": at most " +
                                                  std::to_string(os::kMaxUnixPath) +
                                                  " bytes are allowed");
  }
  kube::rpc::holdLibrary();
  grpc::ServerBuilder builder;
  int bound = 0;
  builder.AddListeningPort("unix:" + path, grpc::InsecureServerCredentials(), &bound);
  builder.RegisterService(&service);
  builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 2);
  grpc::ResourceQuota quota("kubelet");
  quota.SetMaxThreads(16);
  builder.SetResourceQuota(quota);
  auto server = builder.BuildAndStart();
  if (!server || bound == 0) {
    return Error(ErrorCode::kUnavailable, "listen on " + path + ": gRPC could not",
                 "does the folder exist?");
  }
  return server;
}

}  // namespace

class Services::Servers {
 public:
  Servers(Desk& desk, bool offersGet) : registration_(desk), podResources_(desk, offersGet) {}
  ~Servers() {
    for (auto* server : {registrationServer_.get(), podResourcesServer_.get()}) {
      if (server != nullptr) server->Shutdown(std::chrono::system_clock::now());
    }
  }

  Result<void> start(const Sockets& sockets) {
    RAILHEAD_TRY_ASSIGN(podResourcesServer_, serve(sockets.podResources, podResources_));
    RAILHEAD_TRY_ASSIGN(registrationServer_, serve(sockets.registration, registration_));
    return {};
  }

 private:
  RegistrationService registration_;
  PodResourcesService podResources_;
  std::unique_ptr<grpc::Server> registrationServer_;
  std::unique_ptr<grpc::Server> podResourcesServer_;
};

Services::Services(std::unique_ptr<Servers> servers) : servers_(std::move(servers)) {}
Services::~Services() = default;

Result<std::unique_ptr<Services>> Services::start(const Sockets& sockets, Desk& desk) {
  auto servers = std::make_unique<Servers>(desk, sockets.offersGet);
  RAILHEAD_TRY(servers->start(sockets));
  return std::unique_ptr<Services>(new Services(std::move(servers)));
}

}  // namespace railhead::lab
