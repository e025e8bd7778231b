// What plugins of other authors are told beside ADD and DEL: GC, STATUS, where their files are,
// what is known of their device.
#include "src/attach/attacher.h"
#include "tests/support/attach_fixture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::attach {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;
using testing_support::FakePlugins;
using testing_support::PluginRun;

constexpr const char* kResource = "nvidia.com/cx7_qsfp";

class AttacherNetworksTest : public AttachFixture {
 protected:
  void SetUp() override {
    AttachFixture::SetUp();
    plugins_.install("macvlan", FakePlugins::Kind::kInterface);
    plugins_.install("host-local", FakePlugins::Kind::kIpam);
    plugins_.install("tuning", FakePlugins::Kind::kChained);
    nads_.nads = {{"default", "mv", "", R"({"cniVersion":"1.1.0","type":"macvlan","name":"mv"})"},
                  {"default", "old", "", R"({"cniVersion":"1.0.0","type":"macvlan","name":"old"})"},
                  {"default", "kept", "",
                   R"({"cniVersion":"1.1.0","name":"kept","disableGC":true,"disableCheck":"true",)"
                   R"("plugins":[{"type":"macvlan"}]})"},
                  {"default", "rail", kResource,
                   R"({"cniVersion":"1.1.0","name":"rail","plugins":[{"type":"sriov",)"
                   R"("ipam":{"type":"host-local"}},)"
                   R"({"type":"tuning","capabilities":{"CNIDeviceInfoFile":true}}]})"},
                  {"default", "dev", kResource,
                   R"({"cniVersion":"1.1.0","type":"macvlan","name":"dev",)"
                   R"("capabilities":{"CNIDeviceInfoFile":true}})"}};
    addPod("trainer-1", 1);
  }

  void attach(const std::string& pod, const std::string& annotation) {
    const auto added = attacher_->add(request(CniCommand::kAdd, pod, annotation));
    ASSERT_TRUE(added.has_value()) << added.error().describe();
  }

  CniRequest gcRequest(const std::vector<AttachmentId>& valid) {
    CniRequest gc;
    gc.command = CniCommand::kGc;
    gc.cniVersion = "1.1.0";
    gc.networkName = "cluster";
    gc.validAttachments = valid;
    return gc;
  }

  // "type input" of each call with this command since forgetRuns().
  std::vector<std::string> inputsOf(const std::string& command) {
    std::vector<std::string> inputs;
    for (const PluginRun& run : plugins_.runs()) {
      if (run.command == command) inputs.push_back(run.type + " " + run.input);
    }
    return inputs;
  }

  // Multus' call of a network with an IPAM plugin.
  CniRequest asDelegate(CniRequest request) {
    request.networkName = "rail";
    request.inlineNetwork.ipamType = "host-local";
    request.inlineNetwork.ipamConfig =
        R"({"cniVersion":"1.1.0","name":"rail","type":"railhead","ipam":{"type":"host-local"}})";
    return request;
  }

  std::string infoFile(const std::string& pod, const std::string& ifname) {
    return podDeviceInfoFile(kernel_.paths().deviceInfo, "sandbox-" + pod, ifname);
  }
};

TEST_F(AttacherNetworksTest, GcReachesThePluginsOfWhatPodsHave) {
  start();
  attach("trainer-0", "mv,old,kept");
  attach("trainer-1", "mv,rail");
  plugins_.forgetRuns();
  const auto report = attacher_->gc(gcRequest({{"sandbox-trainer-1", "eth0"}}));
  ASSERT_TRUE(report.has_value());
  EXPECT_THAT(report->failed, IsEmpty());
  EXPECT_THAT(attacher_->attachments(), SizeIs(1));
  EXPECT_THAT(inputsOf("DEL"), SizeIs(3));
  const std::string valid =
      R"("cni.dev/valid-attachments":[{"containerID":"sandbox-trainer-1","ifname":"eth0"},)"
      R"({"containerID":"sandbox-trainer-1","ifname":"net1"},)"
      R"({"containerID":"sandbox-trainer-1","ifname":"net2"},)"
      R"({"containerID":"sandbox-trainer-1","ifname":"net3"}])";
  EXPECT_THAT(
      inputsOf("GC"),
      ElementsAre(R"(macvlan {"cniVersion":"1.1.0","type":"macvlan","name":"mv",)" + valid + "}",
                  testing::AllOf(HasSubstr("host-local {"), HasSubstr(valid),
                                 HasSubstr("/plugins/host-local")),
                  testing::AllOf(HasSubstr("tuning {"), HasSubstr(valid))));
  EXPECT_THAT(inputsOf("GC")[0], Not(HasSubstr("runtimeConfig")));
  EXPECT_THAT(plugins_.snapshot(), HasSubstr("macvlan sandbox-trainer-1/net1"));
}

TEST_F(AttacherNetworksTest, GcLeavesOldVersionsAndThoseThatWantNoneAlone) {
  start();
  attach("trainer-0", "old,kept");
  plugins_.forgetRuns();
  ASSERT_TRUE(attacher_->gc(gcRequest({{"sandbox-trainer-0", "eth0"}})).has_value());
  EXPECT_THAT(plugins_.runs(), IsEmpty());
  EXPECT_TRUE(attacher_->check(request(CniCommand::kCheck)).has_value());
  EXPECT_THAT(inputsOf("CHECK"), ElementsAre(HasSubstr(R"("name":"old")")));
}

TEST_F(AttacherNetworksTest, APluginThatHangsLeavesTheOtherNetworksTheirShareOfAGc) {
  plugins_.slow("macvlan", "GC", clock_, std::chrono::seconds(60));
  start();
  attach("trainer-0", "mv");
  attach("trainer-1", "rail");
  plugins_.forgetRuns();
  const auto begun = clock_.now();
  const auto report =
      attacher_->gc(gcRequest({{"sandbox-trainer-0", "eth0"}, {"sandbox-trainer-1", "eth0"}}));
  ASSERT_TRUE(report.has_value());
  EXPECT_THAT(report->failed, SizeIs(1));
  EXPECT_THAT(inputsOf("GC"),
              ElementsAre(HasSubstr("macvlan"), HasSubstr("host-local"), HasSubstr("tuning")));
  EXPECT_LE(clock_.now() - begun, cni::kRequestBound);
}

TEST_F(AttacherNetworksTest, GcGoesOnPastAPluginThatFails) {
  plugins_.fail("macvlan", "GC", "stuck");
  start();
  attach("trainer-0", "mv");
  attach("trainer-1", "rail");
  const auto report =
      attacher_->gc(gcRequest({{"sandbox-trainer-0", "eth0"}, {"sandbox-trainer-1", "eth0"}}));
  ASSERT_TRUE(report.has_value());
  ASSERT_THAT(report->failed, SizeIs(1));
  EXPECT_THAT(report->failed[0].message,
              HasSubstr("network default/mv: CNI plugin macvlan, GC: it ended with 1"));
  EXPECT_THAT(inputsOf("GC"), SizeIs(3));
}

// What an unreadable record tells of would pass for stale.
TEST_F(AttacherNetworksTest, GcTellsPluginsNothingWhenARecordIsDamaged) {
  start();
  attach("trainer-0", "mv");
  kernel_.memory().put(journalDirectory() + "/broken.json", "{");
  start();
  plugins_.forgetRuns();
  ASSERT_TRUE(attacher_->gc(gcRequest({{"sandbox-trainer-0", "eth0"}})).has_value());
  EXPECT_THAT(inputsOf("GC"), IsEmpty());
}

TEST_F(AttacherNetworksTest, ADelegatesIpamPluginGetsGcAndStatus) {
  start();
  ASSERT_TRUE(attacher_->status(request(CniCommand::kStatus)).has_value());
  EXPECT_THAT(plugins_.runs(), IsEmpty());
  const CniRequest status = asDelegate(request(CniCommand::kStatus));
  ASSERT_TRUE(attacher_->status(status).has_value());
  EXPECT_THAT(inputsOf("STATUS"), ElementsAre(HasSubstr("host-local {")));
  plugins_.fail("host-local", "STATUS", R"({"cniVersion":"1.1.0","code":50,"msg":"full"})");
  const auto refused = attacher_->status(status);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().message, "CNI plugin host-local, STATUS: 'full'");
  ASSERT_TRUE(attacher_->gc(asDelegate(gcRequest({{"x", "net1"}}))).has_value());
  EXPECT_THAT(inputsOf("GC"),
              ElementsAre(HasSubstr(
                  R"("cni.dev/valid-attachments":[{"containerID":"x","ifname":"net1"}])")));
  CniRequest old = status;
  old.cniVersion = "1.0.0";
  EXPECT_TRUE(attacher_->status(old).has_value());
}

TEST_F(AttacherNetworksTest, ADevicesInformationIsCopiedForThePluginAndTold) {
  DeviceInfoFolder folder(kernel_.files(), kernel_.paths().deviceInfo);
  ASSERT_TRUE(folder
                  .writeForDevice(kResource, rails_.sets[0].id,
                                  {*PciAddress::parse("0000:01:10.0"),
                                   *PciAddress::parse("0000:01:00.0"), "mlx5_2"})
                  .has_value());
  start();
  attach("trainer-0", "dev");
  const std::string file = infoFile("trainer-0", "net1");
  EXPECT_THAT(inputsOf("ADD"),
              ElementsAre(HasSubstr(R"("runtimeConfig":{"CNIDeviceInfoFile":")" + file + "\"}")));
  const std::string info = R"({"type":"pci","version":"1.1.0","pci":{"pci-address":"0000:01:10.0",)"
                           R"("pf-pci-address":"0000:01:00.0","rdma-device":"mlx5_2"}})";
  EXPECT_EQ(kernel_.files().readTrimmed(file).value_or(""), info);
  ASSERT_THAT(status_.told, SizeIs(1));
  EXPECT_THAT(status_.told[0], HasSubstr(R"("device-info":)" + info));
  start();  // it outlives the agent
  EXPECT_TRUE(attacher_->add(request(CniCommand::kAdd, "trainer-0", "dev")).has_value());
  EXPECT_EQ(status_.told.back(), status_.told.front());
  ASSERT_TRUE(attacher_->del(request(CniCommand::kDel)).has_value());
  EXPECT_FALSE(kernel_.files().exists(file));
}

TEST_F(AttacherNetworksTest, WhatAPluginWritesOfItsDeviceIsTold) {
  nads_.nads[4].resourceName = "";
  start();
  attach("trainer-0", "dev");
  EXPECT_THAT(status_.told[0], HasSubstr(R"("device-info":{"type":"memif","version":"1.1.0")"));
  ASSERT_TRUE(attacher_->del(request(CniCommand::kDel)).has_value());
  EXPECT_FALSE(kernel_.files().exists(infoFile("trainer-0", "net1")));
}

TEST_F(AttacherNetworksTest, PluginsBehindARailFindItsDeviceThere) {
  start();
  const std::string before = kernel_.snapshot();
  attach("trainer-0", "rail");
  EXPECT_THAT(inputsOf("ADD").back(), HasSubstr(infoFile("trainer-0", "net2")));
  EXPECT_THAT(kernel_.files().readTrimmed(infoFile("trainer-0", "net2")).value_or(""),
              HasSubstr(R"("pci-address":"0002:01:10.0")"));
  EXPECT_THAT(status_.told[0], HasSubstr(R"("pci-address":"0002:01:10.0")"));
  ASSERT_TRUE(attacher_->del(request(CniCommand::kDel)).has_value());
  EXPECT_FALSE(kernel_.files().exists(infoFile("trainer-0", "net2")));
  EXPECT_EQ(kernel_.snapshot(), before);
}

}  // namespace
}  // namespace railhead::attach
