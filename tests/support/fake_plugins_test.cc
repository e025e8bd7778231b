#include "tests/support/fake_plugins.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::testing_support {
namespace {

using testing::HasSubstr;

class FakePluginsTest : public testing::Test {
 protected:
  FakePluginsTest() { kernel_.addNetns("pod"); }

  os::ProcessResult run(const std::string& type, const std::string& command,
                        const std::string& input = R"({"cniVersion":"1.0.0","name":"x"})") {
    os::ProcessSpec spec;
    spec.argv = {"/opt/cni/bin/" + type};
    spec.environment = {{{"CNI_COMMAND", command},
                         {"CNI_CONTAINERID", "c"},
                         {"CNI_IFNAME", "net1"},
                         {"CNI_NETNS", kernel_.netnsPath("pod")}}};
    spec.input = input;
    return *plugins_.run(spec);
  }

  FakeKernel kernel_;
  FakePlugins plugins_{kernel_};
};

TEST_F(FakePluginsTest, AnInterfacePluginMakesALinkAndTakesItAway) {
  plugins_.install("macvlan", FakePlugins::Kind::kInterface);
  EXPECT_TRUE(kernel_.files().exists("/opt/cni/bin/macvlan"));
  EXPECT_EQ(run("macvlan", "DEL").exitCode, 0);  // of what it does not know
  EXPECT_THAT(run("macvlan", "ADD").output, HasSubstr("10.200.0.2/24"));
  EXPECT_TRUE(kernel_.link("net1", "pod").has_value());
  EXPECT_EQ(plugins_.snapshot(), "macvlan c/net1\n");
  EXPECT_EQ(run("macvlan", "CHECK").exitCode, 0);
  EXPECT_EQ(run("macvlan", "ADD").exitCode, 1);  // the name is taken
  EXPECT_EQ(run("macvlan", "DEL").exitCode, 0);
  EXPECT_FALSE(kernel_.link("net1", "pod").has_value());
  EXPECT_EQ(plugins_.snapshot(), "");
  EXPECT_EQ(run("macvlan", "CHECK").exitCode, 1);
}

TEST_F(FakePluginsTest, AChainedPluginPassesItsPreviousResultOn) {
  plugins_.install("tuning", FakePlugins::Kind::kChained);
  EXPECT_EQ(run("tuning", "ADD", R"({"cniVersion":"1.0.0","prevResult":{"a":1}})").output,
            R"({"a":1})");
}

TEST_F(FakePluginsTest, SharesTheKernelsFaults) {
  plugins_.install("host-local", FakePlugins::Kind::kIpam);
  kernel_.revive();
  kernel_.failAt(1);
  EXPECT_EQ(run("host-local", "ADD").exitCode, 1);
  EXPECT_EQ(plugins_.snapshot(), "");
  EXPECT_THAT(run("host-local", "ADD").output, HasSubstr("10.201.0.0/16"));
  plugins_.fail("host-local", "DEL", "no");
  EXPECT_EQ(run("host-local", "DEL").output, "no");
  plugins_.fail("host-local", "DEL", "");
  EXPECT_EQ(run("host-local", "DEL").exitCode, 0);
}

}  // namespace
}  // namespace railhead::testing_support
