// What ADD refuses, before it touches anything, and what it makes of unusual requests.
#include "src/attach/attacher.h"
#include "tests/support/attach_faults.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::attach {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

class AttacherRequestTest : public AttachFaults {
 protected:
  // The error of an ADD that must be refused without any change to the node.
  Error refused(const CniRequest& request) {
    const std::string before = kernel_.snapshot();
    kernel_.revive();
    const auto result = attacher_->add(request);
    EXPECT_FALSE(result.has_value());
    EXPECT_EQ(kernel_.snapshot(), before);
    EXPECT_EQ(kernel_.operations(), 0);
    EXPECT_THAT(attacher_->attachments(), IsEmpty());
    return result.has_value() ? Error() : result.error();
  }
  Error refused(const std::string& annotation) {
    return refused(request(CniCommand::kAdd, "trainer-0", annotation));
  }
};

TEST_F(AttacherRequestTest, RefusalsTouchNothing) {
  start();
  EXPECT_THAT(refused("Dgx").message, HasSubstr("name is 'Dgx'"));
  EXPECT_THAT(refused("other").message, HasSubstr("network 'default/other' does not exist"));
  EXPECT_THAT(refused("dgx-qsfp,dgx-qsfp").message,
              HasSubstr("pod default/trainer-0 holds 1 of resource 'nvidia.com/cx7_qsfp', one for "
                        "each network of it is needed (2)"));
  EXPECT_THAT(refused("dgx-qsfp@eth0").message, HasSubstr("interface 'eth0' exists in the pod"));
  EXPECT_THAT(refused("dgx-qsfp@lo").message, HasSubstr("interface 'lo' exists in the pod"));
  EXPECT_THAT(refused("dgx-qsfp@abcdefghijklmno").message, HasSubstr("interface is 'abcd"));
  // Addresses of VFs are nobody's to ask for, but for the VF's own: 1 + 2 nodes x 4 rail sets.
  EXPECT_THAT(refused(R"([{"name":"dgx-qsfp","ips":["10.100.0.8/24"]}])").message,
              HasSubstr("ips has '10.100.0.8/24': it belongs to another VF"));
  EXPECT_THAT(refused(R"([{"name":"dgx-qsfp","ips":["10.100.0.255"]}])").message,
              HasSubstr("broadcast address"));
  EXPECT_THAT(refused(R"([{"name":"dgx-qsfp","ips":["10.9.0.9"]}])").message,
              HasSubstr("ips has '10.9.0.9': it is in no subnet of the network"));
  EXPECT_THAT(refused(R"([{"name":"dgx-qsfp","ips":["10.100.0.9/16"]}])").message,
              HasSubstr("the subnet's prefix length is 24"));
  EXPECT_THAT(refused(R"([{"name":"dgx-qsfp","ips":["10.100.0.9","10.100.0.10"]}])").message,
              HasSubstr("its rail has an address of this subnet already"));
  EXPECT_THAT(refused(R"([{"name":"dgx-qsfp","mac":"02:00:00:00:00:01"}])").message,
              HasSubstr("the rail set has 2 interfaces, which cannot share one"));
  EXPECT_EQ(refused(R"([{"name":"dgx-qsfp","infiniband-guid":"02:00:5e:ff:fe:10:00:01"}])").code,
            ErrorCode::kUnsupported);
  EXPECT_THAT(refused(R"([{"name":"dgx-qsfp","default-route":["10.9.0.1"]}])").message,
              HasSubstr("default-route is '10.9.0.1': it is in no subnet of network"));
}

class LateOrdinal final : public NodeOrdinal {
 public:
  std::optional<int> number;
  Result<int> ordinal() override {
    if (number) return *number;
    return Error(ErrorCode::kUnavailable, "this node's ordinal is not known yet: x");
  }
};

TEST_F(AttacherRequestTest, OnlyAddressesOfVfsWaitForTheOrdinal) {
  LateOrdinal late;
  ordinal_ = &late;
  nads_.nads = {
      {"default", "plain", "nvidia.com/cx7_qsfp", R"({"type":"railhead","name":"plain"})"}};
  start();
  const Error error = refused("dgx-qsfp");
  EXPECT_EQ(cni::codeFor(error.code), cni::kTryAgain);
  EXPECT_THAT(error.message, HasSubstr("this node's ordinal is not known yet"));
  EXPECT_TRUE(attacher_->add(request(CniCommand::kAdd, "trainer-0", "plain")).has_value());
  EXPECT_TRUE(attacher_->del(request(CniCommand::kDel)).has_value());
  late.number = 1;
  EXPECT_TRUE(attacher_->add(request(CniCommand::kAdd)).has_value());
  EXPECT_EQ(kernel_.link("net1", "trainer-0")->addresses.at(0).toString(), "10.100.0.5/24");
}

// A network on the pods' own addresses takes the primary's routes away.
TEST_F(AttacherRequestTest, SubnetsThatAreInUseAreRefused) {
  network_.railSubnets = {{*IpPrefix::parse("10.1.0.0/16")}, {*IpPrefix::parse("10.2.0.0/16")}};
  nads_.nads = {
      {"default", "other", "nvidia.com/cx7_qsfp",
       R"({"type":"railhead","name":"other","subnets":["10.3.0.0/16","10.2.0.0/16"]})"},
      {"default", "twisted", "nvidia.com/cx7_qsfp",
       R"({"type":"railhead","name":"twisted","subnets":["10.2.0.0/16","10.3.0.0/16"]})"}};
  start();
  const auto route = [&](const os::Netns* where, const std::string& link, const char* to) {
    const auto links = std::move(*kernel_.openLinks(where));
    netlink::Route made{.destination = *IpPrefix::parse(to)};
    made.linkIndex = links->link(link)->index;
    ASSERT_TRUE(links->addRoute(made).has_value());
  };
  const auto pod = kernel_.open(kernel_.netnsPath("trainer-0"));
  ASSERT_TRUE(kernel_
                  .addPodLink(kernel_.netnsPath("trainer-0"), "eth0", "veth",
                              {*IpPrefix::parse("10.1.0.7/24")})
                  .has_value());
  route(&*pod, "eth0", "10.1.0.0/24");
  EXPECT_THAT(
      refused("dgx-qsfp").message,
      HasSubstr("network default/dgx-qsfp.subnets[0] is 10.1.0.0/16: the pod has a route to "
                "10.1.0.0/24 through eth0"));
  EXPECT_THAT(attacher_->recover().failed, IsEmpty());
  kernel_.addHostLink("cni0", "bridge");
  const auto host = std::move(*kernel_.openLinks(nullptr));
  ASSERT_TRUE(host->change(host->link("cni0")->index, {.up = true}).has_value());
  route(nullptr, "cni0", "10.1.4.0/24");
  EXPECT_THAT(refused("dgx-qsfp").message, HasSubstr("this node has a route to 10.1.4.0/24"));
  const auto loaded = attacher_->recover();
  ASSERT_EQ(loaded.failed.size(), 1U);
  EXPECT_THAT(loaded.failed[0].message, HasSubstr("network dgx-qsfp.subnets[0] is 10.1.0.0/16"));
  // Two rails of one pod on one subnet.
  devices_.ids["default/trainer-0"] = {rails_.sets[0].id, rails_.sets[1].id};
  EXPECT_THAT(refused("other,twisted").message, HasSubstr("every rail needs a subnet of its own"));
}

TEST_F(AttacherRequestTest, KeysWithoutEffectAreTold) {
  start();
  ASSERT_TRUE(attacher_
                  ->add(request(CniCommand::kAdd, "trainer-0",
                                R"([{"name":"dgx-qsfp","interfce":"roce"}])"))
                  .has_value());
  EXPECT_THAT(attacher_->sweep().done,
              testing::ElementsAre("pod default/trainer-0: its annotation has keys without effect "
                                   "for network default/dgx-qsfp: 'interfce'"));
}

TEST_F(AttacherRequestTest, APodMayAskForFreeAddresses) {
  start();
  const auto result =
      attacher_->add(request(CniCommand::kAdd, "trainer-0",
                             R"([{"name":"dgx-qsfp","ips":["10.100.1.99/24","10.100.0.77"]}])"));
  ASSERT_TRUE(result.has_value()) << result.error().describe();
  EXPECT_EQ(kernel_.link("net1", "trainer-0")->addresses.at(0).toString(), "10.100.0.77/24");
  EXPECT_EQ(kernel_.link("net2", "trainer-0")->addresses.at(0).toString(), "10.100.1.99/24");
}

TEST_F(AttacherRequestTest, AMacHoldsForThePodsLife) {
  start();
  const std::string before = kernel_.snapshot();
  auto add = request(CniCommand::kAdd, "trainer-0", "");
  add.networkName = "sriov-net";
  add.id.ifname = "net1";
  add.deviceId = vfAddress(0, 1);
  add.inlineNetwork.vf.mac = *Mac::parse("02:00:00:00:00:77");
  const auto result = attacher_->add(add);
  ASSERT_TRUE(result.has_value()) << result.error().describe();
  EXPECT_THAT(*result, HasSubstr(R"("mac":"02:00:00:00:00:77")"));
  EXPECT_EQ(kernel_.link("net1", "trainer-0")->mac.toString(), "02:00:00:00:00:77");
  EXPECT_EQ(kernel_.vfSettings(kPfNames[0], 1).mac.toString(), "02:00:00:00:00:77");
  ASSERT_TRUE(attacher_->del(add).has_value());
  EXPECT_EQ(kernel_.snapshot(), before);
}

TEST_F(AttacherRequestTest, ADefaultRouteTakesThePlaceOfThePrimarys) {
  start();
  const auto eth0 = kernel_.addPodLink(kernel_.netnsPath("trainer-0"), "eth0", "veth",
                                       {*IpPrefix::parse("10.1.0.7/16")});
  ASSERT_TRUE(eth0.has_value());
  const auto pod = kernel_.open(kernel_.netnsPath("trainer-0"));
  auto inside = std::move(*kernel_.openLinks(&*pod));
  netlink::Route primary{.destination = *IpPrefix::parse("0.0.0.0/0")};
  primary.gateway = *IpAddress::parse("10.1.0.1");
  primary.linkIndex = kernel_.link("eth0", "trainer-0")->index;
  ASSERT_TRUE(inside->addRoute(primary).has_value());
  const std::string before = kernel_.snapshot();
  const auto add = request(CniCommand::kAdd, "trainer-0",
                           R"([{"name":"dgx-qsfp","default-route":["10.100.1.1"]}])");
  EXPECT_GT(failEveryStepOfAdd(add, EIO), 14);
  kernel_.revive();
  auto routes = kernel_.routes("trainer-0");
  std::erase_if(routes, [](const auto& one) { return one.table != netlink::Route::kMainTable; });
  ASSERT_EQ(routes.size(), 1U);
  EXPECT_EQ(routes[0].gateway->toString(), "10.100.1.1");
  EXPECT_EQ(routes[0].linkIndex, kernel_.link("net2", "trainer-0")->index);
  EXPECT_THAT(status_.told.back(), HasSubstr(R"("gateway":["10.100.1.1"])"));
  ASSERT_TRUE(attacher_->del(request(CniCommand::kDel)).has_value());
  EXPECT_EQ(kernel_.snapshot(), before);
}

TEST_F(AttacherRequestTest, TheHostsNamespaceIsNoPod) {
  start();
  auto add = request(CniCommand::kAdd);
  add.netnsPath = kernel_.netnsPath("");  // the fake has none there
  EXPECT_THAT(refused(add).message, HasSubstr("CNI_NETNS"));
}

TEST_F(AttacherRequestTest, ADeviceThatIsNoRailSetIsNamed) {
  start();
  devices_.ids["default/trainer-0"] = {"0009:01:10.0"};
  EXPECT_THAT(refused("dgx-qsfp").message, HasSubstr("device '0009:01:10.0' is not a rail set"));
}

TEST_F(AttacherRequestTest, ARailWithoutSubnetIsRefused) {
  network_.railSubnets.pop_back();
  start();
  EXPECT_THAT(refused("dgx-qsfp").message, HasSubstr("subnets has 1 entries: rail 1"));
}

TEST_F(AttacherRequestTest, AVfWithoutNetdevIsNamed) {
  start();
  write("/sys/bus/pci/drivers/igbvf/unbind", vfAddress(1, 0));
  EXPECT_THAT(refused("dgx-qsfp").message,
              HasSubstr("net2 (VF 0002:01:10.0): VF 0002:01:10.0 has no netdev on the host"));
}

TEST_F(AttacherRequestTest, APreviousResultOfAnotherFormIsRefusedFirst) {
  start();
  auto add = request(CniCommand::kAdd);
  add.prevResult = R"({"interfaces":3})";
  EXPECT_THAT(refused(add).message, HasSubstr("prevResult.interfaces is '3'"));
}

TEST_F(AttacherRequestTest, TwoNetworksOfAResourceTakeDifferentRailSets) {
  start();
  devices_.ids["default/trainer-0"] = {rails_.sets[2].id, rails_.sets[1].id};
  const auto result =
      attacher_->add(request(CniCommand::kAdd, "trainer-0", "dgx-qsfp@roce,dgx-qsfp"));
  ASSERT_TRUE(result.has_value()) << result.error().describe();
  EXPECT_EQ(kernel_.link("roce", "trainer-0")->pci, vfAddress(0, 2));
  EXPECT_EQ(kernel_.link("roce2", "trainer-0")->pci, vfAddress(1, 2));
  EXPECT_EQ(kernel_.link("net1", "trainer-0")->pci, vfAddress(0, 1));
  EXPECT_EQ(kernel_.link("net2", "trainer-0")->pci, vfAddress(1, 1));
  EXPECT_EQ(devices_.asked, 1) << "kubelet limits how often it is asked";
  EXPECT_EQ(kernel_.link("roce", "trainer-0")->addresses.at(0).toString(), "10.100.0.7/24");
  EXPECT_EQ(kernel_.link("net1", "trainer-0")->addresses.at(0).toString(), "10.100.0.6/24");
}

TEST_F(AttacherRequestTest, AnEmptyListGivesThePreviousResultBack) {
  start();
  const auto result = attacher_->add(request(CniCommand::kAdd, "trainer-0", "[]"));
  ASSERT_TRUE(result.has_value());
  EXPECT_THAT(*result, HasSubstr(R"("interfaces":[{"name":"eth0","sandbox":"/x"}],"ips")"));
  auto check = request(CniCommand::kCheck);
  check.networksAnnotation = "[]";
  EXPECT_TRUE(attacher_->check(check).has_value());
  check.networksAnnotation = "dgx-qsfp";
  EXPECT_EQ(attacher_->check(check).error().code, ErrorCode::kCheckFailed);
}

TEST_F(AttacherRequestTest, AsADelegateItTakesTheDeviceItIsGiven) {
  start();
  auto add = request(CniCommand::kAdd, "trainer-0", "");
  add.networkName = "dgx-qsfp";
  add.id.ifname = "net1";
  add.deviceId = rails_.sets[3].id;
  add.prevResult.clear();
  ASSERT_TRUE(attacher_->add(add).has_value());
  EXPECT_EQ(kernel_.link("net2", "trainer-0")->addresses.at(0).toString(), "10.100.1.8/24");
}

TEST_F(AttacherRequestTest, ADelegateWithItsOwnNetworkAndASingleVf) {
  start();
  const std::string before = kernel_.snapshot();
  auto add = request(CniCommand::kAdd, "trainer-0", "");
  add.networkName = "sriov-net";
  add.id.ifname = "net7";
  add.deviceId = vfAddress(1, 2);
  add.inlineNetwork.mtu = 3000;
  add.inlineNetwork.vf.vlan = 7;
  add.inlineNetwork.vf.spoofCheck = false;
  ASSERT_TRUE(attacher_->add(add).has_value());
  const auto link = kernel_.link("net7", "trainer-0");
  ASSERT_TRUE(link.has_value());
  EXPECT_EQ(link->mtu, 3000);
  EXPECT_THAT(link->addresses, IsEmpty());
  EXPECT_EQ(kernel_.vfSettings(kPfNames[1], 2).vlan, 7);
  EXPECT_FALSE(kernel_.vfSettings(kPfNames[1], 2).spoofCheck);
  add.command = CniCommand::kDel;
  ASSERT_TRUE(attacher_->del(add).has_value());
  EXPECT_EQ(kernel_.snapshot(), before);
}

TEST_F(AttacherRequestTest, CheckSaysWhatDiffers) {
  start();
  ASSERT_TRUE(attacher_->add(request(CniCommand::kAdd)).has_value());
  const auto pod = kernel_.open(kernel_.netnsPath("trainer-0"));
  auto inside = std::move(*kernel_.openLinks(&*pod));
  const int index = kernel_.link("net2", "trainer-0")->index;
  ASSERT_TRUE(inside->removeAddress(index, *IpPrefix::parse("10.100.1.5/24")).has_value());
  EXPECT_THAT(attacher_->check(request(CniCommand::kCheck)).error().message,
              HasSubstr("interface net2 (VF 0002:01:10.0): address 10.100.1.5/24 is missing"));
  ASSERT_TRUE(inside->change(index, {.up = false}).has_value());
  EXPECT_THAT(attacher_->check(request(CniCommand::kCheck)).error().message,
              HasSubstr("it is down"));
  // The next ADD of this sandbox makes it whole.
  ASSERT_TRUE(attacher_->add(request(CniCommand::kAdd)).has_value());
  EXPECT_TRUE(attacher_->check(request(CniCommand::kCheck)).has_value());
}

}  // namespace
}  // namespace railhead::attach
