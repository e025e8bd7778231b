#include "src/report/model/json.h"

#include <fstream>
#include <limits>
#include <set>
#include <sstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace railhead::report {
namespace {

using Json = nlohmann::ordered_json;
using ::testing::AllOf;
using ::testing::HasSubstr;

std::string contentOf(const std::string& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file.is_open()) << path;
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string sampleText() { return contentOf("tests/fixtures/report/two_sparks.json"); }

// The error of the sample after `change`; fails when it is still accepted.
template <typename Change>
Error errorAfter(Change change) {
  Json json = Json::parse(sampleText());
  change(json);
  const auto read = fromJson(json.dump());
  EXPECT_FALSE(read.has_value());
  return read.has_value() ? Error() : read.error();
}

TEST(ReportJson, ReadsEveryPartOfASample) {
  const auto report = fromJson(sampleText());
  ASSERT_TRUE(report.has_value()) << report.error().describe();
  EXPECT_EQ(report->environment.cpus, 2);
  ASSERT_EQ(report->topology.links.size(), 2U);
  EXPECT_EQ(report->topology.links[1].ends[1].pf, "enP2p1s0f0np0");
  EXPECT_EQ(report->topology.links[1].rail, 1);
  ASSERT_EQ(report->nodes.size(), 2U);
  ASSERT_EQ(report->nodes[1].pfs.size(), 2U);
  EXPECT_EQ(report->nodes[1].pfs[0].twin, "enP2p1s0f0np0");
  ASSERT_EQ(report->nodes[1].pfs[1].vfs.size(), 4U);
  EXPECT_EQ(report->nodes[1].pfs[1].vfs[0].pod, "demo/reader");
  EXPECT_EQ(report->nodes[0].allocatable.at("nvidia.com/cx7_qsfp"), 4U);
  EXPECT_EQ(report->nodes[0].railSets[3].vfs.size(), 2U);
  EXPECT_EQ(report->pods[1].fullName(), "demo/reader");
  EXPECT_EQ(report->pods[1].interfaces[1].address, "10.42.1.5/24");
  EXPECT_TRUE(report->rdma.verified);
  EXPECT_EQ(report->rdma.bytesChecked, 134217728U);
  EXPECT_DOUBLE_EQ(report->rdma.perRail.at(1).latencyP99Us.value(), 2180.1);
  EXPECT_EQ(report->steps[2].name, "Boot two nodes");
  EXPECT_TRUE(report->result.ok);
}

TEST(ReportJson, WritesTheSampleBackByteForByteInMeaning) {
  const auto report = fromJson(sampleText());
  ASSERT_TRUE(report.has_value());
  const std::string written = toJson(*report);
  EXPECT_EQ(Json::parse(written), Json::parse(sampleText()));  // ordered: same fields, same order
  const auto again = fromJson(written);
  ASSERT_TRUE(again.has_value()) << again.error().describe();
  EXPECT_EQ(*again, *report);
}

TEST(ReportJson, RoundTripsTheEmptyReportAndAFailedOne) {
  const auto empty = fromJson(toJson(Report{}));
  ASSERT_TRUE(empty.has_value()) << empty.error().describe();
  EXPECT_EQ(*empty, Report{});
  const auto failed = fromJson(contentOf("tests/fixtures/report/failed_boot.json"));
  ASSERT_TRUE(failed.has_value()) << failed.error().describe();
  EXPECT_FALSE(failed->rdma.oneRailGbps.has_value());
  EXPECT_EQ(failed->result.logs.size(), 3U);
  EXPECT_EQ(*fromJson(toJson(*failed)), *failed);
}

TEST(ReportJson, WritesWhatJsonCannotHoldAsSomethingItCan) {
  Report report;
  report.rdma.oneRailGbps = std::numeric_limits<double>::infinity();
  report.seconds = std::numeric_limits<double>::quiet_NaN();
  report.result.logs = {"half a character \xc3", std::string("nul \0 inside", 12)};
  const auto read = fromJson(toJson(report));
  ASSERT_TRUE(read.has_value()) << read.error().describe();
  EXPECT_FALSE(read->rdma.oneRailGbps.has_value());
  EXPECT_EQ(read->seconds, 0);
  EXPECT_EQ(read->result.logs[0], "half a character \xef\xbf\xbd");
  EXPECT_EQ(read->result.logs[1], report.result.logs[1]);
}

TEST(ReportJson, NamesTheFieldItsValueAndWhatIsAllowed) {
  EXPECT_THAT(errorAfter([](Json& j) { j["nodes"][1]["pfs"][0]["mtu"] = "jumbo"; }).message,
              AllOf(HasSubstr("nodes[1].pfs[0].mtu"), HasSubstr("jumbo"),
                    HasSubstr("whole number from 0 to 1000000")));
  EXPECT_THAT(errorAfter([](Json& j) { j["nodes"][0]["pfs"][0]["mtu"] = -1; }).message,
              HasSubstr("'-1' is not a whole number"));
  EXPECT_THAT(errorAfter([](Json& j) { j["rdma"]["one_rail_gbps"] = -3.5; }).message,
              HasSubstr("rdma.one_rail_gbps: '-3.5' is not a number"));
  EXPECT_THAT(errorAfter([](Json& j) { j["rdma"]["verified"] = 1; }).message,
              HasSubstr("rdma.verified: '1' is not true or false"));
  EXPECT_THAT(errorAfter([](Json& j) { j["pods"] = "none"; }).message,
              HasSubstr("pods: '\"none\"' is not a list"));
  EXPECT_THAT(errorAfter([](Json& j) { j["pods"][0] = 7; }).message,
              HasSubstr("pods[0]: '7' is not an object"));
  EXPECT_THAT(errorAfter([](Json& j) { j["steps"][1]["name"] = nullptr; }).message,
              HasSubstr("steps[1].name: 'null' is not a string"));
  EXPECT_THAT(errorAfter([](Json& j) {
                j["result"]["logs"] = {"a", 2};
              }).message,
              HasSubstr("result.logs[1]: '2' is not a string"));
  EXPECT_THAT(errorAfter([](Json& j) { j["nodes"][0]["allocatable"]["gpu"] = 1.5; }).message,
              HasSubstr("nodes[0].allocatable.gpu: '1.5'"));
  EXPECT_THAT(errorAfter([](Json& j) { j["topology"]["links"][0].erase("ends"); }).message,
              HasSubstr("topology.links[0].ends is missing"));
}

TEST(ReportJson, PassesOverFieldsOfALaterMinorAddition) {
  Json json = Json::parse(sampleText());
  json["nodes"][0]["colour"] = "green";
  EXPECT_EQ(*fromJson(json.dump()), *fromJson(sampleText()));
}

TEST(ReportJson, RefusesAnotherSchema) {
  const Error other = errorAfter([](Json& j) { j["schema"] = "railhead.report/2"; });
  EXPECT_EQ(other.code, ErrorCode::kUnsupported);
  EXPECT_THAT(other.message, AllOf(HasSubstr("railhead.report/2"), HasSubstr(kSchema)));
  EXPECT_THAT(errorAfter([](Json& j) { j.erase("schema"); }).message, HasSubstr("schema"));
}

TEST(ReportJson, IsBounded) {
  EXPECT_THAT(fromJson(std::string(9 << 20, ' ')).error().message, HasSubstr("bytes; at most"));
  EXPECT_THAT(fromJson(std::string(200'000, '[')).error().message, HasSubstr("nested deeper"));
  EXPECT_THAT(errorAfter([](Json& j) { j["result"]["error"] = std::string(70'000, 'x'); }).message,
              AllOf(HasSubstr("result.error"), HasSubstr("at most 65536 bytes")));
  EXPECT_THAT(errorAfter([](Json& j) { j["result"]["logs"] = Json(5000, "x"); }).message,
              HasSubstr("result.logs has 5000 entries; at most 4096"));
  for (const char* text : {"", "nonsense", "{\"schema\":", "[]", "\"\xff\"", "null"}) {
    const auto read = fromJson(text);
    ASSERT_FALSE(read.has_value()) << text;
    EXPECT_EQ(read.error().code, ErrorCode::kInvalidArgument) << text;
  }
}

// ---- the document against the program

std::string typeOf(const Json& value) {
  if (value.is_string()) return "string";
  if (value.is_boolean()) return "boolean";
  if (value.is_number_unsigned()) return "integer";
  if (value.is_number()) return "number";
  return value.dump();
}

void collectPaths(const Json& value, const std::string& path, std::set<std::string>& paths) {
  if (path == "nodes[].allocatable") {  // the names in it are resources, not fields
    paths.insert(path);
  } else if (value.is_object()) {
    for (const auto& item : value.items()) {
      collectPaths(item.value(), path.empty() ? item.key() : path + "." + item.key(), paths);
    }
  } else if (value.is_array() && !value.empty() && value[0].is_object()) {
    for (const auto& entry : value) collectPaths(entry, path + "[]", paths);
  } else {
    paths.insert(path);
  }
}

// Rows "| `path` | type | meaning |" of the reference page's part on report.json, in order.
std::vector<SchemaField> documentedFields() {
  std::vector<SchemaField> fields;
  std::stringstream page(contentOf("docs/reference/report.md"));
  for (std::string line; std::getline(page, line) && line != "## Measurements";) {
    if (!line.starts_with("| `")) continue;
    const auto pathEnd = line.find("` | ", 3);
    const auto typeEnd = line.find(" | ", pathEnd + 4);
    EXPECT_NE(typeEnd, std::string::npos) << line;
    EXPECT_GT(line.size(), typeEnd + 6) << "no meaning: " << line;
    fields.push_back(
        {line.substr(3, pathEnd - 3), line.substr(pathEnd + 4, typeEnd - pathEnd - 4)});
  }
  return fields;
}

TEST(ReportReference, DocumentsExactlyTheFieldsOfTheProgramWithTheirTypes) {
  std::vector<std::string> documented;
  std::vector<std::string> real;
  for (const auto& field : documentedFields()) documented.push_back(field.path + ": " + field.type);
  for (const auto& field : schemaFields()) real.push_back(field.path + ": " + field.type);
  EXPECT_THAT(documented, ::testing::UnorderedElementsAreArray(real));
}

TEST(ReportReference, ListsExactlyThePathsThatAreWritten) {
  std::set<std::string> written;
  collectPaths(Json::parse(toJson(*fromJson(sampleText()))), "", written);
  std::set<std::string> listed;
  for (const auto& field : schemaFields()) listed.insert(field.path);
  EXPECT_EQ(written, listed);
}

TEST(ReportReference, HoldsWhatReadersOfTheDemoRelyOn) {
  const Json json = Json::parse(toJson(*fromJson(sampleText())));
  const Json& interface = json.at("pods").at(0).at("interfaces").at(0);
  for (const char* field : {"name", "address", "rdma"})
    EXPECT_EQ(typeOf(interface.at(field)), "string");
  EXPECT_EQ(typeOf(interface.at("rail")), "integer");
  for (const char* field :
       {"one_rail_gbps", "both_rails_gbps", "perftest_gbps", "ceiling_gbps", "latency_us"}) {
    EXPECT_EQ(typeOf(json.at("rdma").at(field)), "number");
  }
  EXPECT_EQ(typeOf(json.at("rdma").at("verified")), "boolean");
  EXPECT_EQ(typeOf(json.at("steps").at(0).at("seconds")), "number");
  EXPECT_EQ(json.at("nodes").at(0).at("pfs").at(0).at("vfs").size(), 4U);
}

}  // namespace
}  // namespace railhead::report
