#include "src/kube/pod_resources_client.h"

#include "podresources_v1.grpc.pb.h"
#include "src/kube/rpc/channel.h"
#include "src/kube/rpc/status.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include <grpcpp/client_context.h>
#include <sys/stat.h>

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

constexpr std::chrono::milliseconds kFirstPause{20};
constexpr std::chrono::milliseconds kLongestPause{320};

// What kubelet answers to whoever is one too many: its answer of no other call.
Error failureOf(const grpc::Status& status, const std::string& what) {
  Error error = rpc::fromStatus(status, what);
  if (error.code == ErrorCode::kExhausted &&
      status.error_message().find("rate limit") != std::string::npos) {
    error.code = ErrorCode::kBusy;
  }
  return error;
}

// Calls again after a pause while kubelet has no time; at the deadline that is kUnavailable, also
// when it comes during a call.
template <typename Call>
auto patiently(os::Deadline deadline, const Call& call) {
  decltype(call()) busy = Error(ErrorCode::kUnavailable, "");
  for (auto pause = kFirstPause;; pause = std::min(2 * pause, kLongestPause)) {
    auto answer = call();
    if (answer.has_value()) return answer;
    const bool late = answer.error().code == ErrorCode::kDeadlineExceeded;
    if (late && !busy.error().message.empty()) return busy;
    if (answer.error().code != ErrorCode::kBusy) return answer;
    busy = std::move(answer);
    busy.error().code = ErrorCode::kUnavailable;
    if (std::chrono::steady_clock::now() + pause >= deadline) return busy;
    std::this_thread::sleep_for(pause);
  }
}

// Nothing while there is no socket.
std::optional<std::pair<std::uint64_t, std::uint64_t>> identityOf(const std::string& path) {
  struct stat state {};
  if (::stat(path.c_str(), &state) != 0) return std::nullopt;
  return std::pair<std::uint64_t, std::uint64_t>(state.st_dev, state.st_ino);
}

}  // namespace

std::shared_ptr<grpc::Channel> PodResourcesClient::kept() const {
  const auto now = identityOf(socketPath_);
  const std::lock_guard lock(mutex_);
  if (channel_ != nullptr && now != identity_) channel_.reset();
  return channel_;
}

Result<std::shared_ptr<grpc::Channel>> PodResourcesClient::connect(os::Deadline deadline) const {
  // Before: with a socket that is replaced meanwhile the identity differs the next time.
  const auto identity = identityOf(socketPath_);
  RAILHEAD_TRY_ASSIGN(auto channel, rpc::connectChannel(socketPath_, deadline));
  const std::lock_guard lock(mutex_);
  channel_ = channel;
  identity_ = identity.value_or(SocketIdentity());
  return channel;
}

void PodResourcesClient::drop(const std::shared_ptr<grpc::Channel>& channel) const {
  const std::lock_guard lock(mutex_);
  if (channel_ == channel) channel_.reset();
}

Result<grpc::Status> PodResourcesClient::ask(os::Deadline deadline, const Call& call) const {
  if (const auto channel = kept(); channel != nullptr) {
    const grpc::Status status = call(channel);
    if (status.ok()) return status;
    drop(channel);
    if (status.error_code() != grpc::StatusCode::UNAVAILABLE) return status;
  }
  RAILHEAD_TRY_ASSIGN(const auto channel, connect(deadline));
  const grpc::Status status = call(channel);
  if (!status.ok()) drop(channel);
  return status;
}

Result<std::vector<PodDevices>> PodResourcesClient::list(os::Deadline deadline) const {
  auto all = patiently(deadline, [&] { return listOnce(deadline); });
  if (!all.has_value()) withoutGet_ = false;  // another kubelet may come
  return all;
}

Result<std::vector<PodDevices>> PodResourcesClient::get(const std::string& podNamespace,
                                                        const std::string& pod,
                                                        os::Deadline deadline) const {
  if (!withoutGet_) {
    RAILHEAD_TRY_ASSIGN(auto own,
                        patiently(deadline, [&] { return getOnce(podNamespace, pod, deadline); }));
    if (own) return std::move(*own);
    withoutGet_ = true;
  }
  RAILHEAD_TRY_ASSIGN(auto all, list(deadline));
  std::erase_if(all, [&](const PodDevices& one) {
    return one.podNamespace != podNamespace || one.pod != pod;
  });
  return all;
}

Result<std::vector<PodDevices>> PodResourcesClient::listOnce(os::Deadline deadline) const {
  v1::ListPodResourcesResponse response;
  RAILHEAD_TRY_ASSIGN(const auto status, ask(deadline, [&](const auto& channel) {
                        grpc::ClientContext context;
                        context.set_deadline(rpc::toWallClock(deadline));
                        return v1::PodResourcesLister::NewStub(channel)->List(&context, {},
                                                                              &response);
                      }));
  if (!status.ok()) return failureOf(status, "list pod resources at " + socketPath_);
  std::vector<PodDevices> all;
  for (const auto& pod : response.pod_resources()) RAILHEAD_TRY(append(pod, all));
  return all;
}

Result<std::optional<std::vector<PodDevices>>> PodResourcesClient::getOnce(
    const std::string& podNamespace, const std::string& pod, os::Deadline deadline) const {
  v1::GetPodResourcesRequest request;
  request.set_pod_namespace(podNamespace);
  request.set_pod_name(pod);
  v1::GetPodResourcesResponse response;
  RAILHEAD_TRY_ASSIGN(const auto status, ask(deadline, [&](const auto& channel) {
                        grpc::ClientContext context;
                        context.set_deadline(rpc::toWallClock(deadline));
                        return v1::PodResourcesLister::NewStub(channel)->Get(&context, request,
                                                                             &response);
                      }));
  if (status.ok()) {
    std::vector<PodDevices> own;
    RAILHEAD_TRY(append(response.pod_resources(), own));
    return std::optional(std::move(own));
  }
  Error error =
      failureOf(status, "get pod resources of " + podNamespace + "/" + pod + " at " + socketPath_);
  // With the feature gate off the method exists and answers a plain error that says so.
  const bool absent = error.code == ErrorCode::kUnsupported ||
                      status.error_message().find("disabled") != std::string::npos;
  if (absent) return std::optional<std::vector<PodDevices>>();
  // Kubelet gives an unknown pod no class of its own.
  if (status.error_message().find("not found") != std::string::npos)
    error.code = ErrorCode::kNotFound;
  return error;
}

}  // namespace railhead::kube
