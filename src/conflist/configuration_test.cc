#include "src/conflist/configuration.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace railhead::conflist {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kCilium = R"({"cniVersion":"0.3.1","name":"cilium","plugins":[
    {"type":"cilium-cni","enable-debug":false,"log-file":"/var/run/cilium/cilium-cni.log"}]})";

json chained(std::string_view primary, bool list, const Chained& ours = {}) {
  const auto text = chainBehind(primary, list, ours);
  EXPECT_TRUE(text.has_value()) << text.error().message;
  return text.has_value() ? json::parse(*text, nullptr, false) : json();
}

TEST(Configuration, StandsBehindThePrimarysPlugins) {
  const json list = chained(kCilium, true);
  EXPECT_EQ(list["name"], "cilium");
  EXPECT_EQ(list["cniVersion"], "0.3.1");
  ASSERT_EQ(list["plugins"].size(), 2U);
  EXPECT_EQ(list["plugins"][0]["log-file"], "/var/run/cilium/cilium-cni.log");
  EXPECT_EQ(list["plugins"][1], json::parse(R"({"type":"railhead",
                            "capabilities":{"io.kubernetes.cri.pod-annotations":true}})"));
  EXPECT_EQ(chained(kCilium, true, {"/run/x.sock"})["plugins"][1]["socket"], "/run/x.sock");
}

TEST(Configuration, KeepsWhatElseTheListSays) {
  const json list = chained(R"({"cniVersion":"1.1.0","cniVersions":["0.2.0","1.0.0","1.1.0"],
      "name":"k8s","disableCheck":true,"disableGC":true,
      "plugins":[{"type":"flannel"},{"type":"portmap","capabilities":{"portMappings":true}}]})",
                            true);
  EXPECT_EQ(list["disableCheck"], true);
  EXPECT_EQ(list["disableGC"], true);
  EXPECT_EQ(list["cniVersions"], json::parse(R"(["1.0.0","1.1.0"])"));
  EXPECT_EQ(list["plugins"][1]["capabilities"]["portMappings"], true);
}

TEST(Configuration, MakesAListOfASinglePlugin) {
  const json list = chained(
      R"({"cniVersion":"0.4.0","name":"net","type":"bridge","ipam":{"type":"host-local"}})", false);
  EXPECT_EQ(list["name"], "net");
  EXPECT_EQ(list["plugins"][0], json::parse(R"({"type":"bridge","ipam":{"type":"host-local"}})"));
}

TEST(Configuration, SpeaksAVersionThatWeKnow) {
  const auto versionOf = [](const std::string& version) {
    return chained(R"({"cniVersion":")" + version + R"(","name":"n","plugins":[{"type":"p"}]})",
                   true)["cniVersion"];
  };
  EXPECT_EQ(versionOf("0.1.0"), "0.3.1");
  EXPECT_EQ(versionOf(""), "0.3.1");
  EXPECT_EQ(versionOf("0.3.1"), "0.3.1");
  EXPECT_EQ(versionOf("1.1.0"), "1.1.0");
  EXPECT_EQ(versionOf("1.10.0"), "1.1.0");
  EXPECT_EQ(versionOf("2"), "1.1.0");
}

TEST(Configuration, KnowsItsPlugins) {
  const auto read = readConfiguration(
      R"({"name":"n","plugins":[{"type":"bridge"},{"type":"railhead",
          "capabilities":{"io.kubernetes.cri.pod-annotations":true}}]})",
      true);
  ASSERT_TRUE(read.has_value());
  EXPECT_THAT(read->plugins, ElementsAre("bridge", "railhead"));
  EXPECT_TRUE(read->givesAnnotations);
  EXPECT_FALSE(read->isMultus());
  EXPECT_TRUE(readConfiguration(R"({"name":"m","type":"multus-shim"})", false)->isMultus());
}

struct Refused {
  const char* text;
  bool list;
  const char* says;
};

class RefusedConfiguration : public testing::TestWithParam<Refused> {};

TEST_P(RefusedConfiguration, SaysWhatIsWrong) {
  const auto read = readConfiguration(GetParam().text, GetParam().list);
  ASSERT_FALSE(read.has_value());
  EXPECT_EQ(read.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(read.error().message, HasSubstr(GetParam().says));
  EXPECT_FALSE(chainBehind(GetParam().text, GetParam().list, {}).has_value());
}

INSTANTIATE_TEST_SUITE_P(
    All, RefusedConfiguration,
    testing::Values(Refused{"", true, "is not valid JSON"}, Refused{"[]", true, "object"},
                    Refused{R"({"plugins":[{"type":"p"}]})", true, "name is missing"},
                    Refused{R"({"name":7,"plugins":[{"type":"p"}]})", true, "name is '7'"},
                    Refused{R"({"name":"n"})", true, "plugins is missing"},
                    Refused{R"({"name":"n","plugins":[]})", true, "1 to 32 plugins"},
                    Refused{R"({"name":"n","plugins":[7]})", true, "plugins[0] is"},
                    Refused{R"({"name":"n","plugins":[{"type":""}]})", true,
                            "plugins[0].type is missing"},
                    Refused{R"({"name":"n","plugins":[{"type":"../sh"}]})", true, "without '/'"},
                    Refused{R"({"name":"n"})", false, "it.type is missing"}));

TEST(Configuration, KnowsTheRuntimesFileNames) {
  EXPECT_TRUE(isConfigurationName("10-a.conf"));
  EXPECT_TRUE(isConfigurationName("10-a.conflist"));
  EXPECT_TRUE(isConfigurationName("10-a.json"));
  EXPECT_FALSE(isConfigurationName("05-cilium.conflist.cilium_bak"));
  EXPECT_FALSE(isConfigurationName("README"));
  EXPECT_TRUE(isListName("10-a.conflist"));
  EXPECT_FALSE(isListName("10-a.json"));
}

}  // namespace
}  // namespace railhead::conflist
