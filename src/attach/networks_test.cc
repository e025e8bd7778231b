#include "src/attach/networks.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::attach {
namespace {

using testing::HasSubstr;

struct Good {
  const char* annotation;
  std::vector<std::string> parsed;  // "namespace/name@interface"
};

std::string shown(const NetworkSelection& selection) {
  return selection.qualifiedName() + (selection.interface.empty() ? "" : "@" + selection.interface);
}

class GoodAnnotation : public testing::TestWithParam<Good> {};

TEST_P(GoodAnnotation, IsParsed) {
  const auto parsed = parseNetworks(GetParam().annotation, "ml");
  ASSERT_TRUE(parsed.has_value()) << parsed.error().describe();
  std::vector<std::string> texts;
  for (const auto& selection : *parsed) texts.push_back(shown(selection));
  EXPECT_EQ(texts, GetParam().parsed);
}

INSTANTIATE_TEST_SUITE_P(
    Grammar, GoodAnnotation,
    testing::Values(
        Good{"", {}}, Good{"  \n", {}}, Good{"[]", {}}, Good{"dgx-qsfp", {"ml/dgx-qsfp"}},
        Good{" dgx-qsfp ", {"ml/dgx-qsfp"}}, Good{"a,b", {"ml/a", "ml/b"}},
        Good{"a, b ,\nc", {"ml/a", "ml/b", "ml/c"}}, Good{"net/a", {"net/a"}},
        Good{"a@roce0", {"ml/a@roce0"}}, Good{"net/a@roce0", {"net/a@roce0"}},
        Good{"a@,b@ ", {"ml/a", "ml/b"}},
        Good{" net / a @ roce0 ,b @r1", {"net/a@roce0", "ml/b@r1"}}, Good{"a,a", {"ml/a", "ml/a"}},
        Good{"a.b-c.9", {"ml/a.b-c.9"}}, Good{R"([{"name":"a"}])", {"ml/a"}},
        Good{R"([{"name":"a","namespace":"net","interface":"r0"}])", {"net/a@r0"}},
        Good{R"( [ {"name":"a"} , {"name":"b"} ] )", {"ml/a", "ml/b"}},
        Good{R"([{"name":"a","ips":["10.0.0.1/24","fd00::1"],"mac":"02:00:00:00:00:01"}])",
             {"ml/a"}},
        Good{R"([{"name":"a","interface":null}])", {"ml/a"}},
        Good{R"([{"name":"a","cni-args":{"x":1},"default-route":["10.0.0.1"]}])", {"ml/a"}},
        Good{R"([{"name":"a","infiniband-guid":"02:00:5e:ff:fe:10:00:01"}])", {"ml/a"}}));

struct BadText {
  std::string annotation;
  const char* says;
};

class BadAnnotation : public testing::TestWithParam<BadText> {};

TEST_P(BadAnnotation, NamesElementFieldValueAndWhatIsAllowed) {
  const auto parsed = parseNetworks(GetParam().annotation, "ml");
  ASSERT_FALSE(parsed.has_value());
  EXPECT_EQ(parsed.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(parsed.error().message, HasSubstr("annotation k8s.v1.cni.cncf.io/networks: "));
  EXPECT_THAT(parsed.error().message, HasSubstr(GetParam().says));
}

std::string many(int count) {
  std::string text = "a";
  for (int i = 1; i < count; ++i) text += ",a";
  return text;
}

INSTANTIATE_TEST_SUITE_P(
    Grammar, BadAnnotation,
    testing::Values(
        BadText{"a,,b", "network 2 '': name is '': 1 to 253 lower-case letters"},
        BadText{",", "network 1 '': name is ''"},
        BadText{"a,Big", "network 2 'Big': name is 'Big'"}, BadText{"-a", "name is '-a'"},
        BadText{"a_b", "name is 'a_b'"}, BadText{"x/y/z", "network 1 'x/y/z': name is 'y/z'"},
        BadText{"/a", "namespace is '': 1 to 63 lower-case letters"},
        BadText{"N/a", "namespace is 'N'"}, BadText{"n.s/a", "namespace is 'n.s'"},
        BadText{"a@b@c", ""}, BadText{"a@@", ""}, BadText{"@x", "name is ''"},
        BadText{"a b", "name is 'a b'"}, BadText{"a@x/y", ""},
        BadText{"a@0123456789abcdef", "interface is '0123456789abcdef': 1 to 15 printable"},
        BadText{"a@..", "interface is '..'"}, BadText{"a@x:1", "interface is 'x:1'"},
        BadText{"a@x y", "interface is 'x y'"}, BadText{std::string("a\0b", 3), "name is "},
        BadText{many(33), "it names 33 networks: at most 32 are allowed"},
        BadText{std::string((64 << 10) + 1, 'a'), "it has 65537 bytes, at most 65536"},
        BadText{"[", "it is not valid JSON: '['"},
        BadText{"{\"name\":\"a\"}", "expected a JSON list"},
        BadText{"\"a\"", "expected a JSON list"},
        BadText{"[1]", "network 1: it is '1': expected an object with a name"},
        BadText{"[{}]", "network 1: name is ''"},
        BadText{R"([{"name":1}])", "network 1: name is '1': expected a string"},
        BadText{R"([{"name":"a"},{"name":"B"}])", "network 2: name is 'B'"},
        BadText{R"([{"name":"a","interfaceRequest":"x/y"}])", "interface is 'x/y'"},
        BadText{R"([{"name":"a","ips":"10.0.0.1"}])",
                "ips is '\"10.0.0.1\"': a list of at most 16"},
        BadText{R"([{"name":"a","ips":["10.0.0.300"]}])", "ips: IP address '10.0.0.300'"},
        BadText{R"([{"name":"a","ips":["10.0.0.3/33"]}])", "prefix length must be 0 to 32"},
        BadText{R"([{"name":"a","mac":"zz"}])", "mac: "},
        BadText{R"([{"name":"a","infiniband-guid":"q"}])", "infiniband-guid: "},
        BadText{R"([{"name":"a","default-route":["x"]}])", "default-route: IP address 'x'"},
        BadText{R"([{"name":"a","mac":"00:00:00:00:00:00"}])",
                "mac is '00:00:00:00:00:00': an address of one interface is needed"},
        BadText{R"([{"name":"a","mac":"01:00:5e:00:00:01"}])",
                "mac is '01:00:5e:00:00:01': an address of one interface is needed"},
        BadText{R"([{"name":"a","default-route":["10.0.0.1","10.0.0.2"]}])",
                "default-route is '10.0.0.1,10.0.0.2': at most one IPv4 and one IPv6 gateway"},
        BadText{R"([{"name":"a","default-route":"10.0.0.1"}])",
                "default-route is '\"10.0.0.1\"': a list of at most 16 strings is allowed"},
        BadText{R"([{"name":"a","bandwidth":3}])", "bandwidth is '3': an object is needed"},
        BadText{R"([{"name":"a","bandwidth":{"ingressRate":-1}}])",
                "bandwidth.ingressRate is '-1': 0 to 9223372036854775807 are allowed"},
        BadText{R"([{"name":"a","portMappings":{}}])",
                "portMappings is '{}': a list of at most 64 objects is allowed"},
        BadText{R"([{"name":"a","portMappings":["x"]}])",
                "portMappings is '\"x\"': an object is needed"},
        BadText{R"([{"name":"a","portMappings":[{"hostPort":70000}]}])",
                "portMappings.hostPort is '70000': 0 to 65535 are allowed"},
        BadText{R"([{"name":"a","portMappings":[{"protocol":6}]}])",
                "protocol is '6': expected a string"},
        BadText{R"([{"name":"a","portMappings":[{"hostIP":"x"}]}])",
                "portMappings.hostIP: IP address 'x'"},
        BadText{R"([{"name":"a","cni-args":[1]}])", "cni-args is '[1]': an object is needed"},
        BadText{R"([{"name":"a","ipam-claim-reference":7}])",
                "ipam-claim-reference is '7': expected a string"},
        BadText{R"([{"name":"a","deviceID":7}])", "deviceID is '7': expected a string"},
        BadText{
            R"([{"name":"a","deviceID":"../../etc"}])",
            "deviceID is '../../etc': letters, digits, '.', '_', ':', '+' and '-' are allowed, not "
            "beginning with '.'"},
        BadText{R"([{"name":"a","deviceID":".."}])", "deviceID is '..'"},
        BadText{R"([{"name":"a","deviceID":"a/b"}])", "deviceID is 'a/b'"},
        BadText{R"([{"name":"a","deviceID":"a b"}])", "deviceID is 'a b'"},
        BadText{R"([{"name":"a","deviceID":")" + std::string(513, 'a') + R"("}])", "deviceID "},
        BadText{R"([{"name":"a","namespace":"N"}])", "namespace is 'N'"},
        BadText{R"([{"name":"a","interface":"x/y"}])", "interface is 'x/y'"},
        BadText{std::string(70, '[') + std::string(70, ']'), "nested deeper than the 64 levels"}));

// A pod that Multus starts must start.
TEST(Annotation, TakesWhatMultusTakes) {
  const auto parsed = parseNetworks(
      R"([{"name":"a","interfaceRequest":"roce","deviceID":"0000:01:10.0","acme.com/x":[1]},)"
      R"({"name":"b","interface":"net7","interfaceRequest":"old"}])",
      "ml");
  ASSERT_TRUE(parsed.has_value()) << parsed.error().describe();
  EXPECT_EQ((*parsed)[0].interface, "roce");
  EXPECT_EQ((*parsed)[0].ignored, (std::vector<std::string>{"'acme.com/x'"}));
  EXPECT_EQ((*parsed)[0].deviceId, "0000:01:10.0");
  EXPECT_EQ((*parsed)[1].interface, "net7");
  EXPECT_TRUE((*parsed)[1].ignored.empty());
}

TEST(Annotation, TakesAMacWithDashes) {
  const auto parsed = parseNetworks(R"([{"name":"a","mac":"02-00-5E-10-00-01"}])", "ml");
  ASSERT_TRUE(parsed.has_value()) << parsed.error().describe();
  EXPECT_EQ(parsed->front().mac, "02:00:5e:10:00:01");
  const auto mixed = parseNetworks(R"([{"name":"a","mac":"02-00:5e:10:00:01"}])", "ml");
  ASSERT_FALSE(mixed.has_value());
  EXPECT_THAT(mixed.error().message, HasSubstr("mac: MAC address '02-00:5e:10:00:01'"));
}

TEST(Annotation, KeepsWhatPluginsAreToldOf) {
  const auto parsed = parseNetworks(
      R"([{"name":"a","ips":["10.0.0.1/24"],"mac":"02:00:00:00:00:01","cni-args":{"x":[1]},)"
      R"("bandwidth":{"ingressRate":5},"portMappings":[{"hostPort":80,"containerPort":8080}],)"
      R"("infiniband-guid":"02:00:5e:ff:fe:10:00:01","default-route":["10.0.0.1","fd00::1"]}])",
      "ml");
  ASSERT_TRUE(parsed.has_value()) << parsed.error().describe();
  const NetworkSelection& selection = parsed->front();
  EXPECT_EQ(selection.ips, std::vector<std::string>{"10.0.0.1/24"});
  EXPECT_EQ(selection.mac, "02:00:00:00:00:01");
  EXPECT_EQ(selection.infinibandGuid, "02:00:5e:ff:fe:10:00:01");
  EXPECT_EQ(selection.cniArguments, R"({"x":[1]})");
  EXPECT_EQ(selection.bandwidth, R"({"ingressRate":5})");
  EXPECT_EQ(selection.portMappings, R"([{"hostPort":80,"containerPort":8080}])");
  ASSERT_EQ(selection.defaultRoute.size(), 2U);
  EXPECT_TRUE(selection.defaultRoute[1].v6);
}

TEST(ConfiguredNetworks, PrefersThePodsNamespace) {
  NetworkDefinition everywhere{.name = "a", .resourceName = "r/all"};
  NetworkDefinition own{.name = "a", .podNamespace = "ml", .resourceName = "r/ml"};
  ConfiguredNetworks networks({everywhere, own});
  EXPECT_EQ(networks.find("ml", "a")->resourceName, "r/ml");
  EXPECT_EQ(networks.find("default", "a")->resourceName, "r/all");
  EXPECT_FALSE(networks.find("ml", "b").has_value());
  EXPECT_EQ(networks.names(), (std::vector<std::string>{"*/a", "ml/a"}));
}

}  // namespace
}  // namespace railhead::attach
