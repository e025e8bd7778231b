// Which registrations the stand-in takes: the node-side checks of the real kubelet.
#include "deviceplugin_v1beta1.grpc.pb.h"
#include "lab/kubelet/rig.h"
#include "src/kube/rpc/channel.h"
#include "src/kube/rpc/status.h"
#include "src/os/unix_listener.h"
#include "src/os/unix_socket.h"

#include <filesystem>
#include <string>

#include <gmock/gmock.h>
#include <grpcpp/client_context.h>
#include <gtest/gtest.h>

namespace railhead::lab {
namespace {

using testing::HasSubstr;

os::Deadline soon() { return std::chrono::steady_clock::now() + std::chrono::seconds(5); }

class RegistrationTest : public testing::Test {
 protected:
  void SetUp() override {
    auto made = KubeletRig::make();
    ASSERT_TRUE(made.has_value()) << made.error().describe();
    rig_ = std::move(*made);
    ASSERT_TRUE(rig_->kubelet().start().has_value());
  }

  std::string refusal(const std::string& version, const std::string& endpoint,
                      const std::string& resource) {
    const auto channel = kube::rpc::connectChannel(rig_->pluginsFolder() + "/kubelet.sock", soon());
    if (!channel.has_value()) return channel.error().describe();
    const auto stub = v1beta1::Registration::NewStub(*channel);
    grpc::ClientContext context;
    context.set_deadline(kube::rpc::toWallClock(soon()));
    v1beta1::RegisterRequest request;
    request.set_version(version);
    request.set_endpoint(endpoint);
    request.set_resource_name(resource);
    v1beta1::Empty answer;
    const auto status = stub->Register(&context, request, &answer);
    return status.ok() ? "" : status.error_message();
  }

  std::unique_ptr<KubeletRig> rig_;
};

TEST_F(RegistrationTest, ChecksVersionNameAndSocket) {
  EXPECT_THAT(refusal("v1alpha", "p.sock", "a.b/c"), HasSubstr("'v1alpha'"));
  EXPECT_THAT(refusal("v1beta1", "p.sock", "gpu"), HasSubstr("'gpu'"));
  EXPECT_THAT(refusal("v1beta1", "../p.sock", "a.b/c"), HasSubstr("'../p.sock'"));
  EXPECT_THAT(refusal("v1beta1", "/tmp/p.sock", "a.b/c"), HasSubstr("'/tmp/p.sock'"));
  EXPECT_THAT(refusal("v1beta1", "kubelet.sock", "a.b/c"), HasSubstr("other than kubelet.sock"));
  EXPECT_THAT(refusal("v1beta1", "", "a.b/c"), HasSubstr("endpoint"));
  EXPECT_THAT(refusal("v1beta1", "absent.sock", "a.b/c"), HasSubstr("no socket at"));
  ASSERT_TRUE(rig_->writeFile(rig_->pluginsFolder() + "/file", "").has_value());
  EXPECT_THAT(refusal("v1beta1", "file", "a.b/c"), HasSubstr("no socket at"));
  EXPECT_EQ(rig_->kubelet().status().registrations, 0U);
}

TEST_F(RegistrationTest, RefusesAPluginThatHangsUp) {
  // Bound and listening, then closed: kubelet's dial is refused.
  const std::string path = rig_->pluginsFolder() + "/dead.sock";
  {
    const auto listener = os::UnixListener::open(path);
    ASSERT_TRUE(listener.has_value());
    std::filesystem::rename(path, path + ".kept");
  }
  std::filesystem::rename(path + ".kept", path);
  EXPECT_THAT(refusal("v1beta1", "dead.sock", "a.b/c"), HasSubstr("dead.sock"));
}

}  // namespace
}  // namespace railhead::lab
