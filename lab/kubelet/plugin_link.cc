#include "lab/kubelet/plugin_link.h"

#include "deviceplugin_v1beta1.grpc.pb.h"
#include "src/kube/rpc/channel.h"
#include "src/kube/rpc/status.h"

#include <mutex>
#include <thread>
#include <utility>

#include <grpcpp/client_context.h>

namespace railhead::lab {
namespace {

constexpr int kMaxList = 4 << 20;  // bytes: the most a Go client takes by default

std::vector<kube::Device> readList(const v1beta1::ListAndWatchResponse& message) {
  std::vector<kube::Device> devices;
  for (const auto& line : message.devices()) {
    kube::Device device{line.id(), line.health() == "Healthy", {}};
    for (const auto& node : line.topology().nodes()) {
      device.numaNodes.push_back(static_cast<int>(node.id()));
    }
    devices.push_back(std::move(device));
  }
  return devices;
}

kube::AllocateAnswer readAnswer(const v1beta1::ContainerAllocateResponse& message) {
  kube::AllocateAnswer answer;
  answer.env = {message.envs().begin(), message.envs().end()};
  for (const auto& mount : message.mounts()) {
    answer.mounts.push_back({mount.container_path(), mount.host_path(), mount.read_only()});
  }
  for (const auto& node : message.devices()) {
    answer.deviceNodes.push_back({node.container_path(), node.host_path(), node.permissions()});
  }
  answer.annotations = {message.annotations().begin(), message.annotations().end()};
  for (const auto& device : message.cdi_devices()) answer.cdiDevices.push_back(device.name());
  return answer;
}

}  // namespace

class PluginLink::Connection {
 public:
  Connection(std::string path, std::shared_ptr<grpc::Channel> channel)
      : path_(std::move(path)), stub_(v1beta1::DevicePlugin::NewStub(channel)) {}

  // How to call the plugin: a context with a deadline, and words for its failure.
  template <typename Call>
  Result<void> ask(const char* method, os::Deadline deadline, Call call) const {
    grpc::ClientContext context;
    context.set_deadline(kube::rpc::toWallClock(deadline));
    const grpc::Status status = call(*stub_, context);
    if (status.ok()) return {};
    return kube::rpc::fromStatus(status, std::string(method) + " at " + path_);
  }

  const std::string path_;
  const std::unique_ptr<v1beta1::DevicePlugin::Stub> stub_;
  v1beta1::DevicePluginOptions options_;

  std::mutex mutex_;
  bool closed_ = false;
  grpc::ClientContext watchContext_;
  std::unique_ptr<grpc::ClientReader<v1beta1::ListAndWatchResponse>> stream_;
  std::thread thread_;
};

Result<std::unique_ptr<PluginLink>> PluginLink::dial(const std::string& socketPath,
                                                     os::Deadline deadline) {
  RAILHEAD_TRY_ASSIGN(auto channel, kube::rpc::connectChannel(socketPath, deadline, kMaxList));
  auto connection = std::make_unique<Connection>(socketPath, std::move(channel));
  RAILHEAD_TRY(connection->ask(
      "GetDevicePluginOptions", deadline, [&](auto& stub, grpc::ClientContext& context) {
        return stub.GetDevicePluginOptions(&context, v1beta1::Empty(), &connection->options_);
      }));
  return std::unique_ptr<PluginLink>(new PluginLink(std::move(connection)));
}

PluginLink::PluginLink(std::unique_ptr<Connection> connection)
    : connection_(std::move(connection)) {}
PluginLink::~PluginLink() { close(); }

void PluginLink::watch(std::function<void(std::vector<kube::Device>)> onList,
                       std::function<void()> onEnd) {
  connection_->thread_ = std::thread([this, onList = std::move(onList), onEnd = std::move(onEnd)] {
    Connection& link = *connection_;
    const auto stream = link.stub_->ListAndWatch(&link.watchContext_, v1beta1::Empty());
    const auto closed = [&] {
      const std::lock_guard lock(link.mutex_);
      return link.closed_;
    };
    v1beta1::ListAndWatchResponse message;
    while (stream->Read(&message) && !closed()) onList(readList(message));
    [[maybe_unused]] const grpc::Status why = stream->Finish();
    if (!closed()) onEnd();
  });
}

void PluginLink::watchWithoutReading() {
  connection_->stream_ =
      connection_->stub_->ListAndWatch(&connection_->watchContext_, v1beta1::Empty());
}

void PluginLink::readAfterAll(const std::function<bool(const std::vector<kube::Device>&)>& enough) {
  v1beta1::ListAndWatchResponse message;
  while (connection_->stream_->Read(&message) && !enough(readList(message))) {
  }
}

void PluginLink::close() {
  {
    const std::lock_guard lock(connection_->mutex_);
    connection_->closed_ = true;
  }
  connection_->watchContext_.TryCancel();
  if (connection_->thread_.joinable()) connection_->thread_.join();
  if (connection_->stream_) {
    // Without this gRPC keeps the call, and its shutdown waits ten seconds for it.
    [[maybe_unused]] const grpc::Status why = connection_->stream_->Finish();
    connection_->stream_.reset();
  }
}

bool PluginLink::offersPreference() const {
  return connection_->options_.get_preferred_allocation_available();
}

Result<std::vector<std::string>> PluginLink::preferred(const std::vector<std::string>& available,
                                                       int count, os::Deadline deadline,
                                                       const std::vector<std::string>& must) const {
  v1beta1::PreferredAllocationRequest request;
  auto& container = *request.add_container_requests();
  for (const auto& id : available) container.add_available_deviceids(id);
  for (const auto& id : must) container.add_must_include_deviceids(id);
  container.set_allocation_size(count);
  v1beta1::PreferredAllocationResponse response;
  RAILHEAD_TRY(connection_->ask("GetPreferredAllocation", deadline,
                                [&](auto& stub, grpc::ClientContext& context) {
                                  return stub.GetPreferredAllocation(&context, request, &response);
                                }));
  if (response.container_responses_size() == 0) return std::vector<std::string>();
  const auto& ids = response.container_responses(0).deviceids();
  return std::vector<std::string>(ids.begin(), ids.end());
}

Result<kube::AllocateAnswer> PluginLink::allocate(const std::vector<std::string>& ids,
                                                  os::Deadline deadline) const {
  v1beta1::AllocateRequest request;
  auto& container = *request.add_container_requests();
  for (const auto& id : ids) container.add_devices_ids(id);
  v1beta1::AllocateResponse response;
  RAILHEAD_TRY(
      connection_->ask("Allocate", deadline, [&](auto& stub, grpc::ClientContext& context) {
        return stub.Allocate(&context, request, &response);
      }));
  if (response.container_responses_size() != 1) {
    return Error(ErrorCode::kCorrupt, "Allocate at " + connection_->path_ + ": answers for " +
                                          std::to_string(response.container_responses_size()) +
                                          " containers, not 1");
  }
  return readAnswer(response.container_responses(0));
}

}  // namespace railhead::lab
