// The first byte chooses the resource and the call, the rest is the request's protobuf.
#include "src/advertise/gpu_resource.h"
#include "src/advertise/rail_resource.h"
#include "src/kube/rpc/plugin_calls.h"
#include "tests/fuzz/promise.h"
#include "tests/fuzz/targets.h"

#include <memory>

namespace railhead::fuzz {
namespace {

// "a+A" to "d+D": kubelet sees short ids as it sees long ones, and a mutator hits them sooner.
void fill(advertise::RailResource& resource) {
  advertise::Inventory inventory;
  for (int i = 0; i < 4; ++i) {
    advertise::InventorySet set;
    set.index = i;
    set.id = {static_cast<char>('a' + i), '+', static_cast<char>('A' + i)};
    for (int rail = 0; rail < 2; ++rail) {
      advertise::InventoryRail one;
      one.rail.vfIndex = i;
      one.rail.cage = rail;
      const std::string number = std::to_string(2 * i + rail);
      one.rdma.push_back({"roce" + number, "uverbs" + number, {}, "ACTIVE"});
      set.rails.push_back(std::move(one));
    }
    inventory.sets.push_back(std::move(set));
  }
  resource.update(std::move(inventory));
}

void fill(advertise::GpuResource& resource, unsigned replicas) {
  advertise::GpuResourceConfig config;
  config.replicas = replicas;
  config.deviceNodes = true;
  advertise::GpuPool pool{"nvidia.com/gpu", {}};
  for (const char* uuid : {"G0", "G1", "G2", "G3"})
    pool.units.push_back({uuid, uuid, "0", "", 0, {"/dev/nvidia0"}, ""});
  resource.update(config, std::move(pool), {"/dev/nvidiactl"}, {{{"G0", "G2"}, 9}});
}

template <typename Resource>
bool ask(Resource& resource, bool allocate, std::string_view input) {
  const auto known = kube::rpc::makeDeviceList(resource.devices());
  const int size = static_cast<int>(input.size());
  if (allocate) {
    v1beta1::AllocateRequest request;
    if (!request.ParseFromArray(input.data(), size)) return false;
    const auto answer = kube::rpc::answerAllocate(resource, *known, request);
    if (!taken(answer)) return false;
    must(answer->container_responses_size() == request.container_requests_size(),
         "every container is answered");
    return true;
  }
  v1beta1::PreferredAllocationRequest request;
  if (!request.ParseFromArray(input.data(), size)) return false;
  std::vector<std::string> notes;
  const auto answer = kube::rpc::answerPreferred(resource, *known, request, notes);
  // What the handler chooses is checked by the caller: a wrong choice is our mistake, not
  // kubelet's.
  must(answer.has_value() || answer.error().code == ErrorCode::kInvalidArgument,
       "a preference is one of what was asked for");
  return taken(answer);
}

}  // namespace

bool kubeletRequests(std::string_view input) {
  const unsigned char choice = cutByte(input);
  const bool allocate = (choice & 1) != 0;
  switch (choice >> 1 & 3) {
    case 0: {
      advertise::RailResource rails({.name = "nvidia.com/x"}, "/dev");
      fill(rails);
      return ask(rails, allocate, input);
    }
    case 1: {
      advertise::RailResource rails({.name = "nvidia.com/x", .cdi = true}, "/dev");
      fill(rails);
      return ask(rails, allocate, input);
    }
    default: {
      advertise::GpuResource gpus("nvidia.com/gpu", "/dev");
      fill(gpus, (choice >> 1 & 1) + 1U);
      return ask(gpus, allocate, input);
    }
  }
}

}  // namespace railhead::fuzz
