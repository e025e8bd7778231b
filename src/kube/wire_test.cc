// Our descriptions of kubelet's protocols against the published contract, byte by byte: every field
// number and type, written down here a second time, independently of the .proto files.
#include "deviceplugin_v1beta1.grpc.pb.h"
#include "podresources_v1.grpc.pb.h"

#include <cstdint>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

namespace railhead::kube {
namespace {

std::string varint(std::uint64_t value) {
  std::string bytes;
  for (; value >= 128; value >>= 7) bytes += static_cast<char>(value | 128);
  return bytes + static_cast<char>(value);
}
// A field of text or of a nested message, and a field of a number or truth value.
std::string text(int number, std::string_view content) {
  return varint(static_cast<std::uint64_t>(number) << 3 | 2) + varint(content.size()) +
         std::string(content);
}
std::string number(int field, std::uint64_t value) {
  return varint(static_cast<std::uint64_t>(field) << 3) + varint(value);
}

TEST(DevicePluginWire, RegisterRequest) {
  v1beta1::RegisterRequest message;
  message.set_version("v1beta1");
  message.set_endpoint("r.sock");
  message.set_resource_name("nvidia.com/cx7_qsfp");
  message.mutable_options()->set_pre_start_required(true);
  message.mutable_options()->set_get_preferred_allocation_available(true);
  EXPECT_EQ(message.SerializeAsString(), text(1, "v1beta1") + text(2, "r.sock") +
                                             text(3, "nvidia.com/cx7_qsfp") +
                                             text(4, number(1, 1) + number(2, 1)));
}

TEST(DevicePluginWire, ListAndWatchResponse) {
  v1beta1::ListAndWatchResponse message;
  auto& device = *message.add_devices();
  device.set_id("set-0");
  device.set_health("Healthy");
  device.mutable_topology()->add_nodes()->set_id(7);
  device.mutable_topology()->add_nodes()->set_id(300);
  EXPECT_EQ(message.SerializeAsString(),
            text(1, text(1, "set-0") + text(2, "Healthy") +
                        text(3, text(1, number(1, 7)) + text(1, number(1, 300)))));
}

TEST(DevicePluginWire, PreferredAllocation) {
  v1beta1::PreferredAllocationRequest request;
  auto& asked = *request.add_container_requests();
  asked.add_available_deviceids("a");
  asked.add_available_deviceids("b");
  asked.add_must_include_deviceids("b");
  asked.set_allocation_size(1);
  EXPECT_EQ(request.SerializeAsString(),
            text(1, text(1, "a") + text(1, "b") + text(2, "b") + number(3, 1)));
  v1beta1::PreferredAllocationResponse response;
  response.add_container_responses()->add_deviceids("b");
  EXPECT_EQ(response.SerializeAsString(), text(1, text(1, "b")));
}

TEST(DevicePluginWire, Allocate) {
  v1beta1::AllocateRequest request;
  request.add_container_requests()->add_devices_ids("a");
  EXPECT_EQ(request.SerializeAsString(), text(1, text(1, "a")));

  v1beta1::AllocateResponse response;
  auto& answer = *response.add_container_responses();
  (*answer.mutable_envs())["K"] = "V";
  auto& mount = *answer.add_mounts();
  mount.set_container_path("/c");
  mount.set_host_path("/h");
  mount.set_read_only(true);
  auto& node = *answer.add_devices();
  node.set_container_path("/dev/c");
  node.set_host_path("/dev/h");
  node.set_permissions("rw");
  (*answer.mutable_annotations())["N"] = "A";
  answer.add_cdi_devices()->set_name("v.com/c=d");
  EXPECT_EQ(response.SerializeAsString(),
            text(1, text(1, text(1, "K") + text(2, "V")) +
                        text(2, text(1, "/c") + text(2, "/h") + number(3, 1)) +
                        text(3, text(1, "/dev/c") + text(2, "/dev/h") + text(3, "rw")) +
                        text(4, text(1, "N") + text(2, "A")) + text(5, text(1, "v.com/c=d"))));
}

TEST(DevicePluginWire, PreStartContainer) {
  v1beta1::PreStartContainerRequest message;
  message.add_devices_ids("a");
  EXPECT_EQ(message.SerializeAsString(), text(1, "a"));
}

TEST(PodResourcesWire, List) {
  v1::ListPodResourcesResponse message;
  auto& pod = *message.add_pod_resources();
  pod.set_name("p");
  pod.set_namespace_("ns");
  auto& container = *pod.add_containers();
  container.set_name("c");
  auto& devices = *container.add_devices();
  devices.set_resource_name("nvidia.com/cx7_qsfp");
  devices.add_device_ids("set-0");
  devices.mutable_topology()->add_nodes()->set_id(1);
  EXPECT_EQ(
      message.SerializeAsString(),
      text(1, text(1, "p") + text(2, "ns") +
                  text(3, text(1, "c") + text(2, text(1, "nvidia.com/cx7_qsfp") + text(2, "set-0") +
                                                     text(3, text(1, number(1, 1)))))));
}

TEST(PodResourcesWire, Get) {
  v1::GetPodResourcesRequest request;
  request.set_pod_name("p");
  request.set_pod_namespace("ns");
  EXPECT_EQ(request.SerializeAsString(), text(1, "p") + text(2, "ns"));
  v1::GetPodResourcesResponse response;
  response.mutable_pod_resources()->set_name("p");
  EXPECT_EQ(response.SerializeAsString(), text(1, text(1, "p")));
}

TEST(PodResourcesWire, Allocatable) {
  v1::AllocatableResourcesResponse response;
  response.add_devices()->set_resource_name("r");
  EXPECT_EQ(response.SerializeAsString(), text(1, text(1, "r")));
}

// The real kubelet adds CPUs, memory and claims: numbers 3 to 5 of a container, 4 and 5 of a pod.
TEST(PodResourcesWire, SkipsWhatItDoesNotKnow) {
  const std::string container =
      text(1, "c") + text(2, text(1, "r") + text(2, "d")) + text(3, varint(1) + varint(2)) +
      text(4, text(1, "hugepages") + number(2, 4096)) + text(5, text(2, "claim"));
  const std::string pod = text(1, "p") + text(2, "ns") + text(3, container) + text(4, varint(9));
  v1::ListPodResourcesResponse message;
  ASSERT_TRUE(message.ParseFromString(text(1, pod)));
  ASSERT_EQ(message.pod_resources_size(), 1);
  ASSERT_EQ(message.pod_resources(0).containers(0).devices_size(), 1);
  EXPECT_EQ(message.pod_resources(0).containers(0).devices(0).device_ids(0), "d");
}

// The names that travel in the HTTP/2 path.
TEST(Services, AreNamedAsPublished) {
  EXPECT_STREQ(v1beta1::Registration::service_full_name(), "v1beta1.Registration");
  EXPECT_STREQ(v1beta1::DevicePlugin::service_full_name(), "v1beta1.DevicePlugin");
  EXPECT_STREQ(v1::PodResourcesLister::service_full_name(), "v1.PodResourcesLister");
}

}  // namespace
}  // namespace railhead::kube
