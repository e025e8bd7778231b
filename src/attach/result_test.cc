#include "src/attach/result.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::attach {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<NetworkResult> net1() {
  NetworkResult result;
  result.interfaces = {{"net1", "02:00:00:00:00:01", 9000, "/ns", "0000:01:10.0", ""}};
  result.addresses = {{*IpPrefix::parse("10.0.0.1/24"), {}, 0},
                      {*IpPrefix::parse("fd00::1/64"), {}, 0}};
  return {result};
}

struct Case {
  const char* version;
  const char* result;
};

class MergedResult : public testing::TestWithParam<Case> {};

TEST_P(MergedResult, HasTheFormOfItsVersion) {
  const auto merged = mergeResults("", net1(), GetParam().version);
  ASSERT_TRUE(merged.has_value());
  EXPECT_EQ(*merged, GetParam().result);
}

constexpr const char* kOld =
    R"(","interfaces":[{"name":"net1","mac":"02:00:00:00:00:01","sandbox":"/ns"}],)"
    R"("ips":[{"version":"4","interface":0,"address":"10.0.0.1/24"},)"
    R"({"version":"6","interface":0,"address":"fd00::1/64"}]})";
const std::string k031 = std::string(R"({"cniVersion":"0.3.1)") + kOld;
const std::string k040 = std::string(R"({"cniVersion":"0.4.0)") + kOld;

INSTANTIATE_TEST_SUITE_P(
    Cni, MergedResult,
    testing::Values(
        Case{"0.3.1", k031.c_str()}, Case{"0.4.0", k040.c_str()},
        Case{"1.0.0",
             R"({"cniVersion":"1.0.0","interfaces":[{"name":"net1","mac":"02:00:00:00:00:01",)"
             R"("sandbox":"/ns"}],"ips":[{"interface":0,"address":"10.0.0.1/24"},)"
             R"({"interface":0,"address":"fd00::1/64"}]})"},
        Case{"1.1.0",
             R"({"cniVersion":"1.1.0","interfaces":[{"name":"net1","mac":"02:00:00:00:00:01",)"
             R"("mtu":9000,"sandbox":"/ns","pciID":"0000:01:10.0"}],)"
             R"("ips":[{"interface":0,"address":"10.0.0.1/24"},)"
             R"({"interface":0,"address":"fd00::1/64"}]})"}));

TEST(Result, KeepsWhatThePreviousPluginSaid) {
  const auto merged = mergeResults(
      R"({"cniVersion":"1.0.0","interfaces":[{"name":"br0"},{"name":"eth0","sandbox":"/ns"}],)"
      R"("ips":[{"interface":1,"address":"10.1.0.2/16","gateway":"10.1.0.1"}],)"
      R"("routes":[{"dst":"0.0.0.0/0"}],"dns":{"nameservers":["10.96.0.10"]}})",
      net1(), "1.0.0");
  ASSERT_TRUE(merged.has_value());
  EXPECT_THAT(*merged, HasSubstr(R"({"interface":1,"address":"10.1.0.2/16","gateway":"10.1.0.1"},)"
                                 R"({"interface":2,"address":"10.0.0.1/24"})"));
  EXPECT_THAT(*merged, HasSubstr(R"("routes":[{"dst":"0.0.0.0/0"}],"dns":{"nameservers")"));
}

TEST(Result, NamesInterfacesOfThePod) {
  EXPECT_THAT(*interfaceNames(R"({"interfaces":[{"name":"br0"},{"name":"eth0","sandbox":"/x"}]})"),
              ElementsAre("eth0"));
  EXPECT_THAT(*interfaceNames(""), ElementsAre());
}

TEST(Result, RefusesAPreviousResultOfAnotherForm) {
  for (const char* bad : {"[]", "x", R"({"interfaces":5})", R"({"ips":{}})"}) {
    const auto merged = mergeResults(bad, net1(), "1.1.0");
    ASSERT_FALSE(merged.has_value()) << bad;
    EXPECT_EQ(merged.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(merged.error().message, HasSubstr("prevResult"));
  }
}

}  // namespace
}  // namespace railhead::attach
