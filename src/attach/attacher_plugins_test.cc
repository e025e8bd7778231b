// Networks of other types, IPAM plugins and chained plugins, over fake plugins.
#include "src/attach/attacher.h"
#include "tests/support/attach_faults.h"

#include <algorithm>
#include <cerrno>

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

// How many changing operations these ADD and DEL have, each of which is made to fail.
constexpr int kAddFaults = 34;
constexpr int kDelFaults = 21;

class AttacherPluginsTest : public AttachFaults {
 protected:
  void SetUp() override {
    AttachFixture::SetUp();
    plugins_.install("macvlan", FakePlugins::Kind::kInterface);
    plugins_.install("host-local", FakePlugins::Kind::kIpam);
    plugins_.install("tuning", FakePlugins::Kind::kChained);
    plugins_.install("sbr", FakePlugins::Kind::kChained);
    network_.name = "configured";
    nads_.nads = {
        {"default", "mv", "",
         R"({"cniVersion":"1.0.0","type":"macvlan","name":"mv","capabilities":{"ips":true}})"},
        {"default", "old", "", R"({"cniVersion":"0.3.1","type":"macvlan","name":"old"})"},
        {"default", "rail", "nvidia.com/cx7_qsfp",
         R"({"cniVersion":"1.0.0","name":"rail","plugins":[{"type":"sriov","trust":"on",)"
         R"("ipam":{"type":"host-local"}},{"type":"tuning"},{"type":"sbr"}]})"}};
  }

  std::string everything() override {
    std::string all = kernel_.snapshot() + plugins_.snapshot();
    for (const auto& file : deviceInfos()) all += file + "\n";
    return all;
  }
  void recoverAll() override {
    AttachFaults::recoverAll();
    EXPECT_THAT(attacher_->sweepPlugins().failed, IsEmpty());
  }

  // "type COMMAND ifname" of every call.
  std::vector<std::string> calls() {
    std::vector<std::string> texts;
    for (const PluginRun& run : plugins_.runs())
      texts.push_back(run.type + " " + run.command + " " + run.environment.at("CNI_IFNAME"));
    return texts;
  }

  std::vector<std::string> deviceInfos() {
    const auto names = kernel_.files().listDirectory(kernel_.paths().deviceInfo + "/cni");
    return names.has_value() ? *names : std::vector<std::string>();
  }

  CniRequest ask(const std::string& annotation) {
    CniRequest add = request(CniCommand::kAdd, "trainer-0", annotation);
    add.cniArgs = "IgnoreUnknown=1;K8S_POD_NAME=trainer-0";
    add.cniPath = "/usr/lib/cni:/opt/cni/bin";
    return add;
  }

  // As Multus calls for a rail set with `static`; `more` ends with a comma, if it is anything.
  CniRequest delegated(const std::string& more, const std::string& cniArgs) {
    const auto parsed =
        parseRequest({"ADD",
                      {{"CNI_CONTAINERID", "sandbox-trainer-0"},
                       {"CNI_IFNAME", "net1"},
                       {"CNI_NETNS", kernel_.netnsPath("trainer-0")},
                       {"CNI_ARGS", cniArgs}},
                      R"({"cniVersion":"1.0.0","name":"fixed","type":"sriov","deviceID":")" +
                          rails_.sets[0].id + R"(",)" + more + R"("ipam":{"type":"static"}})"});
    EXPECT_TRUE(parsed.has_value()) << parsed.error().error.message;
    return parsed.has_value() ? *parsed : CniRequest();
  }
};

TEST_F(AttacherPluginsTest, AnotherTypeIsExecutedAsARuntimeDoes) {
  start();
  const std::string before = everything();
  const auto result = attacher_->add(ask(R"([{"name":"mv","ips":["10.200.0.9/24"]}])"));
  ASSERT_TRUE(result.has_value()) << result.error().describe();
  EXPECT_THAT(*result, HasSubstr(R"({"name":"net1","mac":"06:00:00:00:00:01","sandbox":)"));
  EXPECT_THAT(*result, HasSubstr(R"({"interface":1,"address":"10.200.0.2/24"})"));
  ASSERT_THAT(plugins_.runs(), SizeIs(1));
  const PluginRun add = plugins_.runs()[0];
  EXPECT_EQ(add.environment.at("CNI_COMMAND"), "ADD");
  EXPECT_EQ(add.environment.at("CNI_CONTAINERID"), "sandbox-trainer-0");
  EXPECT_EQ(add.environment.at("CNI_NETNS"), kernel_.netnsPath("trainer-0"));
  EXPECT_EQ(add.environment.at("CNI_ARGS"),
            "IgnoreUnknown=1;K8S_POD_NAME=trainer-0;IP=10.200.0.9/24");
  EXPECT_EQ(add.environment.at("CNI_PATH"), "/usr/lib/cni:/opt/cni/bin");
  EXPECT_EQ(add.input,
            R"({"cniVersion":"1.0.0","type":"macvlan","name":"mv","capabilities":{"ips":true},)"
            R"("runtimeConfig":{"ips":["10.200.0.9/24"]}})");
  EXPECT_TRUE(attacher_->check(request(CniCommand::kCheck)).has_value());
  // The network changes: its DEL is what its ADD was.
  nads_.nads.clear();
  ASSERT_TRUE(attacher_->del(request(CniCommand::kDel)).has_value());
  EXPECT_THAT(calls(), ElementsAre("macvlan ADD net1", "macvlan CHECK net1", "macvlan DEL net1"));
  EXPECT_THAT(plugins_.runs()[2].input, HasSubstr(R"("prevResult":{"cniVersion":"1.0.0")"));
  EXPECT_EQ(everything(), before);
}

TEST_F(AttacherPluginsTest, AResultOfAnOldVersionIsToldInTheRequests) {
  start();
  const auto result = attacher_->add(ask("old"));
  ASSERT_TRUE(result.has_value()) << result.error().describe();
  EXPECT_THAT(*result, HasSubstr(R"({"interface":1,"address":"10.200.0.2/24"})"));
  EXPECT_TRUE(attacher_->check(request(CniCommand::kCheck)).has_value());
  ASSERT_TRUE(attacher_->del(request(CniCommand::kDel)).has_value());
  EXPECT_THAT(calls(), ElementsAre("macvlan ADD net1", "macvlan DEL net1"));  // it has no CHECK
  EXPECT_THAT(plugins_.runs()[1].input, Not(HasSubstr("prevResult")));
}

// As Multus does it, which leaves DEL without.
TEST_F(AttacherPluginsTest, TheArgumentsOfAddSayWhatAPodAsksFor) {
  start();
  ASSERT_TRUE(
      attacher_->add(ask(R"([{"name":"old","ips":["10.1.0.9/24"],"mac":"02:00:00:00:00:07"}])"))
          .has_value());
  ASSERT_TRUE(attacher_->del(request(CniCommand::kDel)).has_value());
  const auto runs = plugins_.runs();
  ASSERT_THAT(runs, SizeIs(2));
  EXPECT_EQ(runs[0].environment.at("CNI_ARGS"),
            "IgnoreUnknown=1;K8S_POD_NAME=trainer-0;IP=10.1.0.9/24;MAC=02:00:00:00:00:07");
  EXPECT_EQ(runs[1].environment.at("CNI_ARGS"), "IgnoreUnknown=1;K8S_POD_NAME=trainer-0");
}

TEST_F(AttacherPluginsTest, EachRailsIpamPluginIsToldItsAddress) {
  start();
  ASSERT_TRUE(
      attacher_->add(ask(R"([{"name":"rail","ips":["10.1.0.9","10.1.0.10"]}])")).has_value());
  const auto runs = plugins_.runs();
  EXPECT_THAT(runs.at(0).environment.at("CNI_ARGS"), testing::EndsWith(";IP=10.1.0.9"));
  EXPECT_THAT(runs.at(1).environment.at("CNI_ARGS"), testing::EndsWith(";IP=10.1.0.10"));
  EXPECT_THAT(runs.at(2).environment.at("CNI_ARGS"), Not(HasSubstr("IP=")));  // the rails have them
}

// Multus says all addresses to its delegate, in one of two ways.
TEST_F(AttacherPluginsTest, ADelegatesRailsHaveAnAddressOfTheirOwnEach) {
  plugins_.install("static", FakePlugins::Kind::kStatic);
  start();
  const std::string before = everything();
  for (const char* declared : {"", R"("capabilities":{"ips":true},)"
                                   R"("runtimeConfig":{"ips":["10.7.0.9/24","10.7.1.9/24"]},)"}) {
    plugins_.forgetRuns();
    const CniRequest add =
        delegated(declared, "IgnoreUnknown=1;IP=10.7.0.9/24,10.7.1.9/24;K8S_POD_NAME=trainer-0");
    const auto added = attacher_->add(add);
    ASSERT_TRUE(added.has_value()) << added.error().describe();
    EXPECT_EQ(kernel_.link("net1", "trainer-0")->addresses.at(0).toString(), "10.7.0.9/24");
    EXPECT_EQ(kernel_.link("net2", "trainer-0")->addresses.at(0).toString(), "10.7.1.9/24");
    ASSERT_TRUE(attacher_->del(add).has_value());
    EXPECT_EQ(everything(), before);
    const auto runs = plugins_.runs();
    ASSERT_THAT(runs, SizeIs(4));
    const std::string plain = "IgnoreUnknown=1;K8S_POD_NAME=trainer-0";
    EXPECT_EQ(runs[0].environment.at("CNI_ARGS"), plain + ";IP=10.7.0.9/24");
    EXPECT_EQ(runs[1].environment.at("CNI_ARGS"), plain + ";IP=10.7.1.9/24");
    EXPECT_EQ(runs[2].environment.at("CNI_ARGS"), plain);
    EXPECT_THAT(runs[1].input, Not(HasSubstr("10.7.0.9")));
  }
}

TEST_F(AttacherPluginsTest, ADelegatesAddressesAreChecked) {
  start();
  const auto added =
      attacher_->add(delegated(R"("runtimeConfig":{"ips":["10.7.0.9;MAC=x","10.7.1.9"]},)", ""));
  ASSERT_FALSE(added.has_value());
  EXPECT_EQ(added.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(added.error().message, HasSubstr("ips: IP address '10.7.0.9;MAC=x'"));
}

TEST_F(AttacherPluginsTest, RailsTakeAddressesFromAPluginAndPluginsBehindThem) {
  start();
  const std::string before = everything();
  const auto result = attacher_->add(ask("rail,mv@other"));
  ASSERT_TRUE(result.has_value()) << result.error().describe();
  EXPECT_THAT(calls(),
              ElementsAre("host-local ADD net1", "host-local ADD net2", "tuning ADD net1",
                          "sbr ADD net1", "tuning ADD net2", "sbr ADD net2", "macvlan ADD other"));
  for (int twin = 0; twin < 2; ++twin) {
    const auto link = kernel_.link("net" + std::to_string(twin + 1), "trainer-0");
    ASSERT_TRUE(link.has_value());
    EXPECT_EQ(link->addresses.at(0).toString(), "10.200.0." + std::to_string(2 + twin) + "/24");
  }
  // Of two rails that are told the same route, the first has it.
  auto routes = kernel_.routes("trainer-0");
  std::erase_if(routes, [](const auto& one) { return one.table != netlink::Route::kMainTable; });
  ASSERT_THAT(routes, SizeIs(1));
  EXPECT_EQ(routes[0].destination.toString(), "10.201.0.0/16");
  EXPECT_EQ(routes[0].gateway->toString(), "10.200.0.1");
  EXPECT_THAT(*result, HasSubstr(R"("dns":{"nameservers":["10.200.0.53"]})"));
  EXPECT_THAT(*result, HasSubstr(R"("address":"10.200.0.3/24","gateway":"10.200.0.1")"));
  EXPECT_THAT(plugins_.runs()[2].input, HasSubstr(R"("name":"net1")"));
  EXPECT_THAT(plugins_.runs()[2].input, Not(HasSubstr(R"("name":"net2")")));
  EXPECT_THAT(deviceInfos(), ElementsAre("sandbox-trainer-0-net1-device.json",
                                         "sandbox-trainer-0-net2-device.json"));
  plugins_.forgetRuns();
  ASSERT_TRUE(attacher_->del(request(CniCommand::kDel)).has_value());
  EXPECT_THAT(calls(),
              ElementsAre("macvlan DEL other", "sbr DEL net2", "tuning DEL net2", "sbr DEL net1",
                          "tuning DEL net1", "host-local DEL net2", "host-local DEL net1"));
  EXPECT_EQ(everything(), before);
  EXPECT_THAT(deviceInfos(), IsEmpty());
  EXPECT_THAT(journalFiles(), IsEmpty());
}

TEST_F(AttacherPluginsTest, TheStatusIsWhatTheSpecificationSays) {
  start();
  ASSERT_TRUE(attacher_->add(ask("rail,mv@other")).has_value());
  ASSERT_THAT(status_.told, SizeIs(1));
  EXPECT_THAT(status_.told[0],
              HasSubstr(R"(default/trainer-0 uid-trainer-0 [{"name":"cluster","interface":"eth0",)"
                        R"("ips":["10.1.0.7"],"default":true,"dns":{}},{"name":"default/rail",)"
                        R"("interface":"net1","ips":["10.200.0.2"],"mac":")"));
  EXPECT_THAT(status_.told[0],
              HasSubstr(R"("device-info":{"type":"pci","version":"1.1.0","pci":{"pci-address":)"
                        R"("0000:01:10.0","pf-pci-address":"0000:01:00.0"}})"));
  EXPECT_THAT(status_.told[0],
              HasSubstr(R"({"name":"default/mv","interface":"other","ips":["10.200.0.4"],)"
                        R"("mac":"06:00:00:00:00:01","dns":{}}])"));
}

TEST_F(AttacherPluginsTest, AForeignPluginGetsTheFirstVfOfARailSet) {
  nads_.nads[0].resourceName = "nvidia.com/cx7_qsfp";
  start();
  ASSERT_TRUE(attacher_->add(ask("mv")).has_value());
  EXPECT_THAT(plugins_.runs()[0].input,
              HasSubstr(R"("deviceID":"0000:01:10.0","pciBusID":"0000:01:10.0")"));
}

// Multus lets a pod name a device of a plugin that takes one. Those of a resource are allotted.
TEST_F(AttacherPluginsTest, ADeviceOfTheAnnotationIsForPluginsThatDeclareIt) {
  nads_.nads.push_back({"default", "deaf", "", R"({"type":"macvlan"})"});
  nads_.nads.push_back(
      {"default", "host", "", R"({"type":"macvlan","capabilities":{"deviceID":true}})"});
  nads_.nads.push_back({"default", "held", "nvidia.com/cx7_qsfp",
                        R"({"type":"macvlan","capabilities":{"deviceID":true}})"});
  start();
  const std::string device = R"(","deviceID":"0000:c1:00.1"})";
  const auto added =
      attacher_->add(ask(R"([{"name":"deaf)" + device + R"(,{"name":"host)" + device +
                         R"(,{"name":"held)" + device + R"(,{"name":"held)" + device + "]"));
  ASSERT_TRUE(added.has_value()) << added.error().describe();
  const auto runs = plugins_.runs();
  ASSERT_THAT(runs, SizeIs(4));
  EXPECT_THAT(runs[0].input, Not(HasSubstr("c1:00.1")));
  EXPECT_THAT(runs[1].input, HasSubstr(R"("runtimeConfig":{"deviceID":"0000:c1:00.1"})"));
  EXPECT_THAT(runs[1].input, Not(HasSubstr("pciBusID")));
  EXPECT_THAT(runs[2].input, HasSubstr(R"("runtimeConfig":{"deviceID":"0000:01:10.0"})"));
  EXPECT_THAT(runs[3].input, Not(HasSubstr("deviceID\":\"")));  // the pod holds no second one
  const std::string told = "without effect for network default/held: 'deviceID'";
  EXPECT_THAT(attacher_->sweep().done, ElementsAre(HasSubstr(told), HasSubstr(told)));
}

TEST_F(AttacherPluginsTest, APluginThatIsNotThereIsNamedBeforeAnythingIsTouched) {
  nads_.nads.push_back({"default", "br", "", R"({"type":"bridge"})"});
  start();
  kernel_.revive();
  const auto result = attacher_->add(ask("mv,br"));
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().message,
            "network default/br: CNI plugin bridge: it is not in /usr/lib/cni, /opt/cni/bin");
  EXPECT_THAT(result.error().remedy, HasSubstr("install the CNI plugin bridge"));
  EXPECT_EQ(kernel_.operations(), 0);
  EXPECT_THAT(plugins_.runs(), IsEmpty());
}

TEST_F(AttacherPluginsTest, APluginsOwnErrorIsPassedOn) {
  plugins_.fail("macvlan", "ADD",
                R"({"cniVersion":"1.0.0","code":11,"msg":"no master","details":"eth9"})");
  start();
  const std::string before = everything();
  const auto result = attacher_->add(ask("rail,mv"));
  EXPECT_EQ(result.error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(result.error().message,
            "network default/mv: CNI plugin macvlan, ADD net3: 'no master': 'eth9'");
  EXPECT_EQ(everything(), before);
  EXPECT_THAT(calls(), testing::Contains("macvlan DEL net3"));
}

TEST_F(AttacherPluginsTest, AResultThatIsNoneUndoesTheAdd) {
  start();
  const std::string before = everything();
  for (const char* output : {"", "[]", R"({"ips":[{"address":"x"}]})", R"({"interfaces":7})"}) {
    plugins_.answer("macvlan", output);
    const auto result = attacher_->add(ask("mv"));
    ASSERT_FALSE(result.has_value()) << output;
    EXPECT_EQ(everything(), before) << output;
  }
  plugins_.answer("host-local", R"({"cniVersion":"1.0.0","ips":[]})");
  EXPECT_THAT(attacher_->add(ask("rail")).error().message,
              HasSubstr("the result of IPAM plugin host-local has no address"));
  EXPECT_EQ(everything(), before);
}

TEST_F(AttacherPluginsTest, OneAddressForTwoRailsUndoesTheAdd) {
  start();
  const std::string before = everything();
  plugins_.answer("host-local", R"({"cniVersion":"1.0.0","ips":[{"address":"10.200.0.9/24"}]})");
  const auto result = attacher_->add(ask("rail"));
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(result.error().message,
            "network default/rail: its IPAM plugin gives net2 the address 10.200.0.9, which net1 "
            "of the same rail set has already");
  EXPECT_THAT(result.error().remedy, HasSubstr("use subnets"));
  EXPECT_EQ(everything(), before);
}

TEST_F(AttacherPluginsTest, NetworksOfTheirOwnMayHaveTheSameAddress) {
  for (const char* name : {"blue", "red"}) {
    nads_.nads.push_back({"default", name, "nvidia.com/cx7_qsfp",
                          R"({"cniVersion":"1.0.0","type":"sriov","name":")" + std::string(name) +
                              R"(","ipam":{"type":"host-local"}})"});
  }
  devices_.ids["default/trainer-0"] = {vfAddress(0, 0), vfAddress(1, 0)};
  start();
  const std::string before = everything();
  plugins_.answer("host-local", R"({"cniVersion":"1.0.0","ips":[{"address":"10.200.0.9/24"}]})");
  const auto result = attacher_->add(ask("blue,red"));
  ASSERT_TRUE(result.has_value()) << result.error().describe();
  for (const char* name : {"net1", "net2"}) {
    EXPECT_EQ(kernel_.link(name, "trainer-0")->addresses.at(0).toString(), "10.200.0.9/24");
  }
  ASSERT_TRUE(attacher_->del(request(CniCommand::kDel)).has_value());
  EXPECT_EQ(everything(), before);
}

TEST_F(AttacherPluginsTest, WhatHasNoEffectIsTold) {
  start();
  CniRequest add = ask(R"([{"name":"mv","gateway":"x"},{"name":"rail","deviceID":"y"}])");
  add.defaultNetwork = "net/other";
  ASSERT_TRUE(attacher_->add(add).has_value());
  EXPECT_THAT(attacher_->sweep().done,
              ElementsAre(HasSubstr("without effect for network default/mv: 'gateway'"),
                          HasSubstr("without effect for network default/rail: 'deviceID'"),
                          "pod default/trainer-0: its annotation for a default network, "
                          "'net/other', has no effect: its primary network is there before "
                          "railhead is called"));
}

TEST_F(AttacherPluginsTest, VfsComeHomeWhateverAPluginsDelDoes) {
  start();
  addPod("trainer-1", 0);
  ASSERT_TRUE(attacher_->add(ask("rail,mv")).has_value());
  plugins_.fail("macvlan", "DEL", "stuck");
  kernel_.killNetns("trainer-0");
  EXPECT_THAT(attacher_->sweep().done, SizeIs(1));
  EXPECT_TRUE(kernel_.link(vfName(0, 0)).has_value());
  EXPECT_THAT(attacher_->sweepPlugins().failed, SizeIs(1));
  // The next pod gets them, and the plugin is not asked every second.
  ASSERT_TRUE(attacher_->add(request(CniCommand::kAdd, "trainer-1", "rail")).has_value());
  plugins_.forgetRuns();
  EXPECT_THAT(attacher_->sweepPlugins().failed, IsEmpty());
  EXPECT_THAT(calls(), IsEmpty());
  plugins_.fail("macvlan", "DEL", "");
  clock_.sleepFor(config_.pluginPause);
  EXPECT_THAT(attacher_->sweepPlugins().failed, IsEmpty());
  EXPECT_THAT(calls(), testing::Contains("macvlan DEL net3"));
  EXPECT_EQ(plugins_.runs().front().environment.at("CNI_NETNS"), "");
  EXPECT_THAT(attacher_->attachments(), SizeIs(1));
}

// The plugins' calls are among the changes.
TEST_F(AttacherPluginsTest, AddFailingAtAnyStepLeavesNothingBehind) {
  start();
  const int faults = failEveryStepOfAdd(ask("rail,mv@other"), ENOMEM);
  EXPECT_EQ(faults, kAddFaults);
  RecordProperty("faults", faults);
}

TEST_F(AttacherPluginsTest, DelFailingAtAnyStepIsFinishedByTheNext) {
  start();
  EXPECT_EQ(failEveryStepOfDel(ask("rail,mv@other"), ENOMEM), kDelFaults);
}

TEST_F(AttacherPluginsTest, AddKilledAtAnyStepIsUndoneByRecover) {
  start();
  EXPECT_EQ(killAtEveryStepOfAdd(ask("rail,mv@other")), kAddFaults);
}

TEST_F(AttacherPluginsTest, DelKilledAtAnyStepIsFinishedByRecover) {
  start();
  EXPECT_EQ(killAtEveryStepOfDel(ask("rail,mv@other")), kDelFaults);
}

TEST_F(AttacherPluginsTest, ADeadNamespacesAddressesAreReleased) {
  start();
  ASSERT_TRUE(attacher_->add(ask("rail,mv")).has_value());
  kernel_.killNetns("trainer-0");
  EXPECT_THAT(attacher_->sweep().failed, IsEmpty());
  EXPECT_THAT(attacher_->sweepPlugins().failed, IsEmpty());
  EXPECT_EQ(plugins_.snapshot(), "");
  EXPECT_THAT(journalFiles(), IsEmpty());
}

}  // namespace
}  // namespace railhead::attach
