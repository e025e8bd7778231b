#include "src/kube/rpc/plugin_calls.h"

#include "src/base/text.h"

#include <algorithm>
#include <set>

namespace railhead::kube::rpc {
namespace {

constexpr int kMaxContainers = 64;

template <typename Ids>
Result<std::vector<std::string>> checkIds(const Ids& ids, const DeviceList& known,
                                          std::string_view field) {
  std::vector<std::string> checked(ids.begin(), ids.end());
  std::set<std::string_view> seen;
  for (const auto& id : checked) {
    if (!known.ids.contains(id)) {
      return Error(ErrorCode::kInvalidArgument,
                   std::string(field) + ": device " + inQuotes(id) + " is unknown; " +
                       std::to_string(known.ids.size()) + " devices are known");
    }
    if (!seen.insert(id).second) {
      return Error(ErrorCode::kInvalidArgument,
                   std::string(field) + ": device " + inQuotes(id) + " is named twice");
    }
  }
  return checked;
}

Result<void> checkContainers(int count) {
  if (count >= 1 && count <= kMaxContainers) return {};
  return Error(ErrorCode::kInvalidArgument, "container_requests: " + std::to_string(count) +
                                                " containers: 1 to " +
                                                std::to_string(kMaxContainers) + " are allowed");
}

void writeAnswer(const AllocateAnswer& answer, v1beta1::ContainerAllocateResponse& out) {
  for (const auto& [name, value] : answer.env) (*out.mutable_envs())[name] = value;
  for (const auto& mount : answer.mounts) {
    auto& line = *out.add_mounts();
    line.set_container_path(mount.containerPath);
    line.set_host_path(mount.hostPath);
    line.set_read_only(mount.readOnly);
  }
  for (const auto& node : answer.deviceNodes) {
    auto& line = *out.add_devices();
    line.set_container_path(node.containerPath);
    line.set_host_path(node.hostPath);
    line.set_permissions(node.permissions);
  }
  for (const auto& [name, value] : answer.annotations) (*out.mutable_annotations())[name] = value;
  for (const auto& name : answer.cdiDevices) out.add_cdi_devices()->set_name(name);
}

// A wrong preference would make kubelet allocate something else without a word, so ours is checked.
Result<void> checkPreference(const std::vector<std::string>& chosen,
                             const std::vector<std::string>& available,
                             const std::vector<std::string>& must, std::size_t size) {
  if (chosen.empty()) return {};
  const std::set<std::string_view> offered(available.begin(), available.end());
  const std::set<std::string_view> picked(chosen.begin(), chosen.end());
  const bool sound =
      picked.size() == size && chosen.size() == size &&
      std::includes(offered.begin(), offered.end(), picked.begin(), picked.end()) &&
      std::all_of(must.begin(), must.end(), [&](const auto& id) { return picked.contains(id); });
  if (sound) return {};
  return Error(ErrorCode::kInternal, "preferred allocation of " + std::to_string(size) +
                                         " devices came out as " + inQuotes(join(chosen, ",")));
}

// What to choose for one container; an Error: no opinion.
Result<std::vector<std::string>> choose(ResourceHandler& handler, const DeviceList& known,
                                        const v1beta1::ContainerPreferredAllocationRequest& asked) {
  // Kubelet's list may be one update older than ours; a device that is gone is no choice.
  std::vector<std::string> available;
  for (const auto& id : asked.available_deviceids()) {
    if (known.ids.contains(id)) available.push_back(id);
  }
  RAILHEAD_TRY_ASSIGN(const auto must,
                      checkIds(asked.must_include_deviceids(), known, "must_include_deviceIDs"));
  const auto size = static_cast<std::size_t>(asked.allocation_size());
  if (available.size() < size) return std::vector<std::string>();
  const std::set<std::string_view> offered(available.begin(), available.end());
  for (const auto& id : must) {
    if (offered.contains(id)) continue;
    return Error(ErrorCode::kInvalidArgument, "must_include_deviceIDs: device " + inQuotes(id) +
                                                  " is not in available_deviceIDs");
  }
  RAILHEAD_TRY_ASSIGN(auto chosen, handler.preferred(available, must, size));
  RAILHEAD_TRY(checkPreference(chosen, available, must, size));
  return chosen;
}

}  // namespace

std::shared_ptr<const DeviceList> makeDeviceList(const std::vector<Device>& devices) {
  auto list = std::make_shared<DeviceList>();
  for (const auto& device : devices) {
    list->ids.insert(device.id);
    auto& line = *list->message.add_devices();
    line.set_id(device.id);
    line.set_health(device.healthy ? "Healthy" : "Unhealthy");
    for (const int node : device.numaNodes) line.mutable_topology()->add_nodes()->set_id(node);
  }
  return list;
}

v1beta1::DevicePluginOptions pluginOptions() {
  v1beta1::DevicePluginOptions options;
  options.set_get_preferred_allocation_available(true);
  return options;
}

Result<v1beta1::AllocateResponse> answerAllocate(ResourceHandler& handler, const DeviceList& known,
                                                 const v1beta1::AllocateRequest& request) {
  RAILHEAD_TRY(checkContainers(request.container_requests_size()));
  std::vector<std::vector<std::string>> asked;
  for (const auto& container : request.container_requests()) {
    RAILHEAD_TRY_ASSIGN(auto ids, checkIds(container.devices_ids(), known, "devices_ids"));
    if (ids.empty()) {
      return Error(ErrorCode::kInvalidArgument, "devices_ids: empty: at least one device");
    }
    asked.push_back(std::move(ids));
  }
  v1beta1::AllocateResponse response;
  for (const auto& ids : asked) {
    RAILHEAD_TRY_ASSIGN(const AllocateAnswer answer, handler.allocate(ids));
    writeAnswer(answer, *response.add_container_responses());
  }
  return response;
}

Result<v1beta1::PreferredAllocationResponse> answerPreferred(
    ResourceHandler& handler, const DeviceList& known,
    const v1beta1::PreferredAllocationRequest& request, std::vector<std::string>& notes) {
  RAILHEAD_TRY(checkContainers(request.container_requests_size()));
  v1beta1::PreferredAllocationResponse response;
  for (const auto& container : request.container_requests()) {
    const int size = container.allocation_size();
    if (size < 1 || size > container.available_deviceids_size() ||
        container.must_include_deviceids_size() > size) {
      return Error(ErrorCode::kInvalidArgument,
                   "allocation_size: " + std::to_string(size) + " of " +
                       std::to_string(container.available_deviceids_size()) + " devices, " +
                       std::to_string(container.must_include_deviceids_size()) + " of them fixed");
    }
    auto& line = *response.add_container_responses();
    const auto chosen = choose(handler, known, container);
    if (chosen.has_value()) {
      for (const auto& id : *chosen) line.add_deviceids(id);
    } else {
      notes.push_back("kubelet chooses by itself: " + chosen.error().message);
    }
  }
  return response;
}

}  // namespace railhead::kube::rpc
