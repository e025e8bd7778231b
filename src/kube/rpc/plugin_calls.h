// Inside src/kube only: what a device plugin answers to each unary call, without any transport.
#pragma once

#include "deviceplugin_v1beta1.pb.h"
#include "src/base/result.h"
#include "src/kube/device.h"

#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

namespace railhead::kube::rpc {

// One published list: what ListAndWatch sends and Allocate checks against.
struct DeviceList {
  v1beta1::ListAndWatchResponse message;
  std::unordered_set<std::string> ids;
};

std::shared_ptr<const DeviceList> makeDeviceList(const std::vector<Device>& devices);

v1beta1::DevicePluginOptions pluginOptions();

// kInvalidArgument names the offending ID and how many are known; the handler is not asked then.
Result<v1beta1::AllocateResponse> answerAllocate(ResourceHandler& handler, const DeviceList& known,
                                                 const v1beta1::AllocateRequest& request);

// An Error for a malformed request alone: kubelet refuses the pod for good then. Where we have no
// sound opinion (a device left the list meanwhile, the handler failed) the container's answer is
// empty, which leaves the choice to kubelet, and `notes` says why.
Result<v1beta1::PreferredAllocationResponse> answerPreferred(
    ResourceHandler& handler, const DeviceList& known,
    const v1beta1::PreferredAllocationRequest& request, std::vector<std::string>& notes);

}  // namespace railhead::kube::rpc
