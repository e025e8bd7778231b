// The CNI specification's cases, as the shim's calls, for every version.
#include "src/attach/server.h"
#include "src/json/json.h"
#include "tests/support/attach_fixture.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace railhead::attach {
namespace {

using Json = json::Value;
using testing::HasSubstr;

class CniConformance : public AttachFixture, public testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    AttachFixture::SetUp();
    start();
    handler_ = makeCniHandler(*attacher_);
  }

  bool isOld() const { return std::string(GetParam()).starts_with("0."); }

  std::string primary() const {
    return std::string(R"({"cniVersion":")") + GetParam() +
           R"(","interfaces":[{"name":"eth0","sandbox":"/x"}],"ips":[{)" +
           (isOld() ? R"("version":"4",)" : "") +
           R"("interface":0,"address":"10.1.0.7/16"}],"dns":{"nameservers":["10.96.0.10"]}})";
  }

  // `more`: further members of the configuration, each with a comma before it.
  cni::Reply call(const std::string& command, const std::string& annotation = "dgx-qsfp",
                  const std::string& more = "") {
    cni::Call call{command,
                   {{"CNI_COMMAND", command},
                    {"CNI_CONTAINERID", "sandbox"},
                    {"CNI_IFNAME", "eth0"},
                    {"CNI_NETNS", kernel_.netnsPath("trainer-0")},
                    {"CNI_PATH", "/opt/cni/bin"},
                    {"CNI_ARGS",
                     "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;"
                     "K8S_POD_NAME=trainer-0;K8S_POD_UID=uid"}},
                   std::string(R"({"cniVersion":")") + GetParam() +
                       R"(","name":"cluster","type":"railhead","runtimeConfig":{)" +
                       R"("io.kubernetes.cri.pod-annotations":{"k8s.v1.cni.cncf.io/networks":")" +
                       annotation + R"("}},"prevResult":)" + primary() + more + "}"};
    return handler_(call);
  }

  Json object(const cni::Reply& reply) {
    auto parsed = json::parseObject(reply.output, "stdout");
    EXPECT_TRUE(parsed.has_value()) << reply.output;
    return parsed.has_value() ? *parsed : Json();
  }

  void expectError(const cni::Reply& reply, int code) {
    EXPECT_EQ(reply.exitCode, 1);
    const Json error = object(reply);
    EXPECT_EQ(error["cniVersion"], GetParam());
    EXPECT_EQ(error["code"], code) << reply.output;
    EXPECT_TRUE(error["msg"].is_string());
  }

  CniHandler handler_;
};

INSTANTIATE_TEST_SUITE_P(Versions, CniConformance,
                         testing::Values("0.3.1", "0.4.0", "1.0.0", "1.1.0"));

TEST_P(CniConformance, AddGivesAResultOfTheVersion) {
  const auto reply = call("ADD");
  ASSERT_EQ(reply.exitCode, 0) << reply.output;
  const Json result = object(reply);
  EXPECT_EQ(result["cniVersion"], GetParam());
  ASSERT_EQ(result["interfaces"].size(), 3U);
  const bool newest = std::string(GetParam()) == "1.1.0";
  for (std::size_t i = 1; i < 3; ++i) {
    const Json& interface = result["interfaces"][i];
    EXPECT_EQ(interface["name"], "net" + std::to_string(i));
    EXPECT_EQ(interface["sandbox"], kernel_.netnsPath("trainer-0"));
    EXPECT_TRUE(Mac::parse(interface["mac"].get<std::string>()).has_value());
    EXPECT_EQ(interface.contains("mtu"), newest);
    EXPECT_EQ(interface.contains("pciID"), newest);
  }
  ASSERT_EQ(result["ips"].size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(result["ips"][i]["interface"], i);
    EXPECT_EQ(result["ips"][i].contains("version"), isOld());
    EXPECT_TRUE(IpPrefix::parse(result["ips"][i]["address"].get<std::string>()).has_value());
  }
  EXPECT_EQ(result["dns"]["nameservers"][0], "10.96.0.10");
  // Again, as a runtime may: the same.
  EXPECT_EQ(call("ADD").output, reply.output);
}

TEST_P(CniConformance, APodWithoutNetworksGetsItsResultBack) {
  const auto reply = call("ADD", "");
  EXPECT_EQ(reply.exitCode, 0);
  EXPECT_EQ(object(reply)["interfaces"].size(), 1U);
  EXPECT_EQ(object(reply)["cniVersion"], GetParam());
}

TEST_P(CniConformance, DelSucceedsAlwaysAndSaysNothing) {
  const std::string before = kernel_.snapshot();
  for (int i = 0; i < 2; ++i) {
    const auto reply = call("DEL");
    EXPECT_EQ(reply.exitCode, 0);
    EXPECT_EQ(reply.output, "");
  }
  ASSERT_EQ(call("ADD").exitCode, 0);
  EXPECT_EQ(call("DEL").exitCode, 0);
  EXPECT_EQ(call("DEL").exitCode, 0);
  EXPECT_EQ(kernel_.snapshot(), before);
  ASSERT_EQ(call("ADD").exitCode, 0);
  kernel_.killNetns("trainer-0");
  EXPECT_EQ(call("DEL").exitCode, 0);
}

TEST_P(CniConformance, CheckFailsForWhatIsNotThere) {
  expectError(call("CHECK"), cni::codeFor(ErrorCode::kCheckFailed));
  ASSERT_EQ(call("ADD").exitCode, 0);
  const auto reply = call("CHECK");
  EXPECT_EQ(reply.exitCode, 0) << reply.output;
  EXPECT_EQ(reply.output, "");
  EXPECT_EQ(call("DEL").exitCode, 0);
  EXPECT_EQ(call("CHECK", "").exitCode, 0);  // nothing was asked for
}

TEST_P(CniConformance, GcKeepsWhatIsValid) {
  ASSERT_EQ(call("ADD").exitCode, 0);
  const auto valid =
      call("GC", "", R"(,"cni.dev/valid-attachments":[{"containerID":"sandbox","ifname":"eth0"}])");
  EXPECT_EQ(valid.exitCode, 0) << valid.output;
  EXPECT_EQ(attacher_->attachments().size(), 1U);
  EXPECT_EQ(call("GC", "", R"(,"cni.dev/valid-attachments":[])").exitCode, 0);
  EXPECT_EQ(attacher_->attachments().size(), 0U);
  expectError(call("GC"), cni::kInvalidConfig);
}

TEST_P(CniConformance, StatusAndVersion) {
  EXPECT_EQ(call("STATUS").exitCode, 0);
  EXPECT_EQ(call("STATUS").output, "");
  const auto versions = json::parseObject(cni::encodeVersions(GetParam()), "stdout");
  EXPECT_EQ((*versions)["cniVersion"], GetParam());
  EXPECT_EQ((*versions)["supportedVersions"], Json({"0.3.1", "0.4.0", "1.0.0", "1.1.0"}));
}

TEST_P(CniConformance, ErrorsHaveTheSpecificationsCodes) {
  expectError(call("ADD", "No"), cni::kInvalidConfig);
  expectError(call("ADD", "dgx-qsfp", R"(,"prevResult":3)"), cni::kInvalidConfig);
  expectError(call("EVICT"), cni::kInvalidEnvironment);
  addPod("other", 0);
  ASSERT_EQ(call("ADD").exitCode, 0);
  auto second = request(CniCommand::kAdd, "other");
  EXPECT_EQ(cni::codeFor(attacher_->add(second).error().code), cni::kTryAgain);
}

}  // namespace
}  // namespace railhead::attach
