#include "src/kube/pod_resources_client.h"

#include "podresources_v1.grpc.pb.h"
#include "src/kube/rpc/channel.h"
#include "src/kube/rpc/status.h"

#include <algorithm>

#include <grpcpp/client_context.h>

namespace railhead::kube {
namespace {

// Kubelet sends a line per device; a container's lines of one resource become one entry.
Result<void> append(const v1::PodResources& pod, std::vector<PodDevices>& into) {
  for (const auto& container : pod.containers()) {
    const auto first = into.size();
    for (const auto& devices : container.devices()) {
      auto entry = std::find_if(
          into.begin() + static_cast<std::ptrdiff_t>(first), into.end(),
          [&](const PodDevices& one) { return one.resource == devices.resource_name(); });
      if (entry == into.end()) {
        if (into.size() >= PodResourcesClient::kMaxEntries) {
          return Error(ErrorCode::kExhausted, "pod resources: more than " +
                                                  std::to_string(PodResourcesClient::kMaxEntries) +
                                                  " entries");
        }
        into.push_back(
            {pod.namespace_(), pod.name(), container.name(), devices.resource_name(), {}});
        entry = into.end() - 1;
      }
      entry->ids.insert(entry->ids.end(), devices.device_ids().begin(), devices.device_ids().end());
    }
  }
  return {};
}

}  // namespace

Result<std::vector<PodDevices>> PodResourcesClient::list(os::Deadline deadline) const {
  RAILHEAD_TRY_ASSIGN(const auto channel, rpc::connectChannel(socketPath_, deadline));
  const auto stub = v1::PodResourcesLister::NewStub(channel);
  grpc::ClientContext context;
  context.set_deadline(rpc::toWallClock(deadline));
  v1::ListPodResourcesResponse response;
  const auto status = stub->List(&context, {}, &response);
  if (!status.ok()) return rpc::fromStatus(status, "list pod resources at " + socketPath_);
  std::vector<PodDevices> all;
  for (const auto& pod : response.pod_resources()) RAILHEAD_TRY(append(pod, all));
  return all;
}

Result<std::vector<PodDevices>> PodResourcesClient::get(const std::string& podNamespace,
                                                        const std::string& pod,
                                                        os::Deadline deadline) const {
  RAILHEAD_TRY_ASSIGN(const auto channel, rpc::connectChannel(socketPath_, deadline));
  const auto stub = v1::PodResourcesLister::NewStub(channel);
  grpc::ClientContext context;
  context.set_deadline(rpc::toWallClock(deadline));
  v1::GetPodResourcesRequest request;
  request.set_pod_namespace(podNamespace);
  request.set_pod_name(pod);
  v1::GetPodResourcesResponse response;
  const auto status = stub->Get(&context, request, &response);
  if (status.ok()) {
    std::vector<PodDevices> own;
    RAILHEAD_TRY(append(response.pod_resources(), own));
    return own;
  }
  Error error = rpc::fromStatus(
      status, "get pod resources of " + podNamespace + "/" + pod + " at " + socketPath_);
  // With the feature gate off the method exists and answers a plain error that says so.
  const bool absent = error.code == ErrorCode::kUnsupported ||
                      status.error_message().find("disabled") != std::string::npos;
  if (!absent) {
    // Kubelet gives an unknown pod no class of its own.
    if (status.error_message().find("not found") != std::string::npos) {
      error.code = ErrorCode::kNotFound;
    }
    return error;
  }
  RAILHEAD_TRY_ASSIGN(auto all, list(deadline));
  std::erase_if(all, [&](const PodDevices& one) {
    return one.podNamespace != podNamespace || one.pod != pod;
  });
  return all;
}

}  // namespace railhead::kube
