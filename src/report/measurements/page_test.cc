#include "src/report/measurements/page.h"

#include "src/report/measurements/assets.h"
#include "tests/support/documented_fields.h"
#include "tests/support/measurement_fixture.h"

#include <regex>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace railhead::report {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

Measurements measurementsOf(const std::vector<json>& documents) {
  Measurements out{"0.1.0", {}, "", 0};
  for (const auto& document : documents) {
    auto read = readMeasurement("a.json", document.dump());
    EXPECT_TRUE(read.has_value()) << read.error().describe();
    if (read.has_value()) out.files.push_back(*read);
  }
  return out;
}

std::string between(const std::string& text, const std::string& from, const std::string& to) {
  const auto start = text.find(from);
  EXPECT_NE(start, std::string::npos) << from;
  if (start == std::string::npos) return {};
  const auto end = text.find(to, start + from.size());
  return text.substr(start + from.size(), end - start - from.size());
}

std::size_t countOf(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

const std::string kDataOpen = R"(<script type="application/json" id="report-data">)";

TEST(MeasurementsPage, SaysTheVerdictAndWhatToDoWithoutAnyScript) {
  const std::string page = toHtml(measurementsOf({measurementFixture("verify_degraded.json")}));
  EXPECT_THAT(between(page, "<h1>", "</h1>"), HasSubstr("Mixed paths"));
  EXPECT_THAT(page, HasSubstr("class=\"verdict bad\""));
  EXPECT_THAT(between(page, "<noscript>", "</noscript>"),
              HasSubstr("What to do: name both twins in NCCL_IB_HCA"));
  EXPECT_THAT(page, Not(HasSubstr("{{")));
}

TEST(MeasurementsPage, CarriesItsDataApartFromItsCode) {
  const Measurements measurements =
      measurementsOf({measurementFixture("verify_spark.json"), measurementFixture("verbs.json")});
  const auto data = json::parse(between(toHtml(measurements), kDataOpen, "</script>"));
  EXPECT_EQ(data, json::parse(toJson(measurements)));
  EXPECT_EQ(data["schema"], "railhead.measurements/1");
  EXPECT_EQ(data["files"][0]["content"], measurementFixture("verify_spark.json"));
  EXPECT_EQ(data["files"][1]["kind"], "verbs");
  EXPECT_EQ(data["comparison"], nullptr);
}

TEST(MeasurementsPage, TakesTheCeilingFromTheOptionThenTheRunThenTheRails) {
  const auto ceiling = [](const Measurements& of) { return json::parse(toJson(of))["ceiling"]; };
  Measurements all =
      measurementsOf({measurementFixture("verbs.json"), measurementFixture("verify_spark.json")});
  all.files[0].file = "verbs.json";
  all.files[1].file = "verify.json";
  EXPECT_EQ(ceiling(all)["file"], "verify.json");
  EXPECT_EQ(ceiling(all)["gbps"], 196.06);
  all.files.pop_back();
  EXPECT_EQ(ceiling(all)["file"], "verbs.json");
  all.ceilingGbps = 100;
  EXPECT_EQ(ceiling(all),
            (json{{"gbps", 100.0}, {"explanation", "given with --ceiling"}, {"file", ""}}));
  EXPECT_EQ(ceiling(measurementsOf({measurementFixture("sweep_before.json")})), nullptr);
}

TEST(MeasurementsPage, DocumentsExactlyTheFieldsOfItsData) {
  json second = measurementFixture("train.json");
  second["manifest"]["place"]["ranks"] = 4;
  second["steps"][24]["loss"] = 2.5;
  Measurements all =
      measurementsOf({measurementFixture("verify_spark.json"), measurementFixture("doctor.json"),
                      measurementFixture("train.json"), second});
  all.comparison = R"({"lines":[],"slower":0,"faster":0})";
  std::set<std::string> real;
  for (const auto& field : testing_support::fieldsOf(json::parse(toJson(all)))) {
    // What stands in a file, and the comparison, have pages of their own.
    if (!field.starts_with("files[].content.") && !field.starts_with("comparison."))
      real.insert(field);
  }
  EXPECT_EQ(testing_support::documentedFields(testing_support::readText("docs/reference/report.md"),
                                              "JSON of report"),
            real);
}

TEST(MeasurementsPage, HoldsTwoRunsAgainstEachOther) {
  json second = measurementFixture("train.json");
  second["manifest"]["id"] = "pair-0002";
  const auto data = [&] {
    return json::parse(toJson(measurementsOf({measurementFixture("train.json"), second})))["runs"];
  };
  EXPECT_EQ(data()["steps"], 40);
  EXPECT_EQ(data()["difference"], nullptr);
  EXPECT_EQ(data()["scaling"], nullptr);
  second["steps"][0]["loss"] = nullptr;
  EXPECT_EQ(data()["difference"]["step"], 1);
  EXPECT_EQ(data()["difference"]["equal_until"], nullptr);
  EXPECT_EQ(data()["difference"]["second"], nullptr);
  EXPECT_EQ(json::parse(toJson(measurementsOf({second})))["runs"], nullptr);
}

TEST(MeasurementsPage, KeepsALongListOfActionsShort) {
  json verify = measurementFixture("verify_degraded.json");
  for (int i = 0; i < 40; ++i) {
    verify["directions"][0]["remedies"].push_back("step " + std::to_string(i));
  }
  const auto data = json::parse(toJson(measurementsOf({verify})));
  EXPECT_EQ(data["actions"].size(), 12U);
  EXPECT_EQ(data["actions_left_out"], 30);
}

TEST(MeasurementsPage, NeedsNothingFromOutside) {
  std::string rest = toHtml(measurementsOf({measurementFixture("sweep_before.json")}));
  EXPECT_THAT(rest, HasSubstr("default-src 'none'"));
  // The name of the SVG namespace, and the address in the first comment of uPlot.
  for (const std::string name :
       {"http://www.w3.org/2000/svg", "https://github.com/leeoniya/uPlot"}) {
    for (auto at = rest.find(name); at != std::string::npos; at = rest.find(name)) {
      rest.erase(at, name.size());
    }
  }
  EXPECT_FALSE(std::regex_search(rest, std::regex("https?://|url\\(|@import|\\bsrc=|fetch\\(")));
  EXPECT_EQ(countOf(rest, "href="), 1U);
}

TEST(MeasurementsPage, CarriesTheLicenceOfTheChartLibrary) {
  const std::string page = toHtml(measurementsOf({measurementFixture("sweep_before.json")}));
  EXPECT_THAT(page, HasSubstr("Copyright (c) 2022 Leon Sorokin"));
  EXPECT_THAT(page, HasSubstr("uPlot (v1.6.32)"));
}

TEST(MeasurementsPage, LetsNoNameBecomeMarkup) {
  const std::string attack = "</script><script>alert(1)</script><!--<script>\"'&{{style}}";
  json verify = measurementFixture("verify_degraded.json");
  const std::size_t scripts = countOf(toHtml(measurementsOf({verify})), "<script");
  verify["verdict"] = attack;
  verify["failures"] = {attack};
  verify[attack] = attack;
  verify["ranks"][0]["node"] = attack;
  verify["directions"][0]["remedies"] = {attack};
  Measurements measurements = measurementsOf({verify});
  measurements.files[0].file = attack;
  const std::string page = toHtml(measurements);
  EXPECT_EQ(countOf(page, "<script"), scripts);
  EXPECT_EQ(countOf(page, "</script"), scripts);
  EXPECT_EQ(countOf(page, "<!--"), 0U);
  EXPECT_EQ(countOf(page, "<style"), 1U);
  EXPECT_THAT(between(page, "<title>", "</title>"), HasSubstr("&lt;/script&gt;"));
  EXPECT_EQ(json::parse(between(page, kDataOpen, "</script>"))["files"][0]["content"], verify);
}

TEST(MeasurementsPage, IsMadeOfFilesThatCannotEndTheirElement) {
  ASSERT_GE(measurementAssets().size(), 4U);
  for (const auto& file : measurementAssets()) {
    const std::string content(file.content);
    EXPECT_FALSE(content.empty()) << file.name;
    EXPECT_EQ(countOf(content, "</"), 0U) << file.name;
    EXPECT_EQ(countOf(content, "<!--"), 0U) << file.name;
    EXPECT_EQ(countOf(content, "innerHTML"), 0U) << file.name;
  }
}

}  // namespace
}  // namespace railhead::report
