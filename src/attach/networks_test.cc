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
        Good{"a,a", {"ml/a", "ml/a"}}, Good{"a.b-c.9", {"ml/a.b-c.9"}},
        Good{R"([{"name":"a"}])", {"ml/a"}},
        Good{R"([{"name":"a","namespace":"net","interface":"r0"}])", {"net/a@r0"}},
        Good{R"( [ {"name":"a"} , {"name":"b"} ] )", {"ml/a", "ml/b"}},
        Good{R"([{"name":"a","ips":["10.0.0.1/24","fd00::1"],"mac":"02:00:00:00:00:01"}])",
             {"ml/a"}},
        Good{R"([{"name":"a","interface":null}])", {"ml/a"}},
        Good{R"([{"name":"a","cni-args":{"x":1},"default-route":["10.0.0.1"]}])", {"ml/a"}},
        Good{R"([{"name":"a","infiniband-guid":"02:00:5e:ff:fe:10:00:01"}])", {"ml/a"}}));

struct Bad {
  std::string annotation;
  const char* says;
};

class BadAnnotation : public testing::TestWithParam<Bad> {};

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
        Bad{"a,,b", "network 2 '': name is '': 1 to 253 lower-case letters"},
        Bad{",", "network 1 '': name is ''"}, Bad{"a,Big", "network 2 'Big': name is 'Big'"},
        Bad{"-a", "name is '-a'"}, Bad{"a_b", "name is 'a_b'"},
        Bad{"x/y/z", "network 1 'x/y/z': name is 'y/z'"},
        Bad{"/a", "namespace is '': 1 to 63 lower-case letters"}, Bad{"N/a", "namespace is 'N'"},
        Bad{"n.s/a", "namespace is 'n.s'"},
        Bad{"a@", "interface is '': a name is needed after '@'"}, Bad{"a@b@c", ""},
        Bad{"a@x/y", ""},
        Bad{"a@0123456789abcdef", "interface is '0123456789abcdef': 1 to 15 printable"},
        Bad{"a@..", "interface is '..'"}, Bad{"a@x:1", "interface is 'x:1'"},
        Bad{"a@x y", "interface is 'x y'"}, Bad{std::string("a\0b", 3), "name is "},
        Bad{many(33), "it names 33 networks: at most 32 are allowed"},
        Bad{std::string((64 << 10) + 1, 'a'), "it has 65537 bytes, at most 65536"},
        Bad{"[", "it is not valid JSON: '['"}, Bad{"{\"name\":\"a\"}", "expected a JSON list"},
        Bad{"\"a\"", "expected a JSON list"},
        Bad{"[1]", "network 1: it is '1': expected an object with a name"},
        Bad{"[{}]", "network 1: name is ''"},
        Bad{R"([{"name":1}])", "network 1: name is '1': expected a string"},
        Bad{R"([{"name":"a"},{"name":"B"}])", "network 2: name is 'B'"},
        Bad{R"([{"name":"a","interfce":"x"}])",
            "key 'interfce' is not known: allowed are name, namespace, interface"},
        Bad{R"([{"name":"a","ips":"10.0.0.1"}])", "ips is '\"10.0.0.1\"': a list of at most 16"},
        Bad{R"([{"name":"a","ips":["10.0.0.300"]}])", "ips: IP address '10.0.0.300'"},
        Bad{R"([{"name":"a","ips":["10.0.0.3/33"]}])", "prefix length must be 0 to 32"},
        Bad{R"([{"name":"a","mac":"zz"}])", "mac: "},
        Bad{R"([{"name":"a","infiniband-guid":"q"}])", "infiniband-guid: "},
        Bad{R"([{"name":"a","default-route":["x"]}])", "default-route: IP address 'x'"},
        Bad{std::string(70, '[') + std::string(70, ']'), "nested deeper than the 64 levels"}));

TEST(ConfiguredNetworks, PrefersThePodsNamespace) {
  NetworkDefinition everywhere{.name = "a", .resourceName = "r/all"};
  NetworkDefinition own{.name = "a", .podNamespace = "ml", .resourceName = "r/ml"};
  ConfiguredNetworks networks({everywhere, own});
  EXPECT_EQ(networks.find("ml", "a")->resourceName, "r/ml");
  EXPECT_EQ(networks.find("default", "a")->resourceName, "r/all");
  const auto missing = networks.find("ml", "b");
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(missing.error().message, HasSubstr("network 'ml/b' does not exist: there is */a"));
}

}  // namespace
}  // namespace railhead::attach
