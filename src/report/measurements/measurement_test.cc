#include "src/report/measurements/measurement.h"

#include "tests/support/measurement_fixture.h"

#include <fstream>
#include <sstream>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace railhead::report {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::StartsWith;

json fixture(const std::string& name) {
  std::ifstream file("tests/fixtures/report/measurements/" + name);
  std::stringstream text;
  text << file.rdbuf();
  return json::parse(text.str());
}

std::string refusal(const json& document) {
  const auto read = readMeasurement("a.json", document.dump());
  if (read.has_value()) return "taken";
  EXPECT_EQ(read.error().code, ErrorCode::kInvalidArgument);
  return read.error().message;
}

TEST(Measurement, IsRecognisedByItsSchema) {
  for (const auto& [name, kind] : std::vector<std::pair<std::string, MeasurementKind>>{
           {"verify_spark.json", MeasurementKind::kVerify},
           {"verify_degraded.json", MeasurementKind::kVerify},
           {"doctor.json", MeasurementKind::kDoctor},
           {"sweep_before.json", MeasurementKind::kCollectives},
           {"verbs.json", MeasurementKind::kVerbs},
           {"train.json", MeasurementKind::kTrain}}) {
    const auto read = readMeasurement(name, fixture(name).dump());
    ASSERT_TRUE(read.has_value()) << read.error().describe();
    EXPECT_EQ(read->kind, kind);
    EXPECT_EQ(read->file, name);
    EXPECT_EQ(json::parse(read->json)["schema"], schemaOf(kind));
  }
}

TEST(Measurement, KeepsEverythingButTheSamplesOfASweep) {
  json sweep = fixture("sweep_before.json");
  sweep["lines"][0]["added_later"] = 7;
  const auto read = readMeasurement("a.json", sweep.dump());
  ASSERT_TRUE(read.has_value()) << read.error().describe();
  for (auto& line : sweep["lines"]) line.erase("samples_us");
  EXPECT_EQ(json::parse(read->json), sweep);
}

TEST(Measurement, NamesTheFileTheFieldAndWhatIsAllowed) {
  json sweep = fixture("sweep_before.json");
  sweep["lines"][3]["time"]["mean_us"] = "fast";
  EXPECT_EQ(refusal(sweep),
            "a.json: lines[3].time.mean_us: '\"fast\"' is not a number from 0 to 2e19");
  sweep["lines"][3].erase("time");
  EXPECT_EQ(refusal(sweep), "a.json: lines[3].time is missing");
  sweep["lines"][3] = 5;
  EXPECT_EQ(refusal(sweep), "a.json: lines[3]: '5' is not an object");

  json verify = fixture("verify_spark.json");
  verify["directions"][0]["remedies"] = {"a", 1};
  EXPECT_EQ(refusal(verify),
            "a.json: directions[0].remedies: '[\"a\",1]' is not a list of strings");
  verify = fixture("verify_spark.json");
  verify["expected"] = nullptr;
  EXPECT_EQ(refusal(verify), "a.json: expected: 'null' is not true or false");
}

TEST(Measurement, TakesNullWhereAFigureWasNotMeasured) {
  json verbs = fixture("verbs.json");
  verbs["rails"][0]["gbps"] = nullptr;
  verbs["rails"][0]["ceiling"] = nullptr;
  verbs["rails"][0]["latency"] = nullptr;
  verbs["all_rails"]["gbps"] = nullptr;
  EXPECT_EQ(refusal(verbs), "taken");
  verbs["rails"][0]["mtu"] = nullptr;
  EXPECT_THAT(refusal(verbs), HasSubstr("rails[0].mtu: 'null' is not a number"));
  verbs["all_rails"] = nullptr;
  verbs["rails"] = json::array();
  EXPECT_EQ(refusal(verbs), "a.json: all_rails: 'null' is not an object");
}

TEST(Measurement, TakesAFileFromBeforeAFieldWasAddedAndNoOtherType) {
  json verbs = fixture("verbs.json");
  verbs["plan"].erase("operation");
  verbs["rails"][0].erase("sizes");
  verbs["rails"][1].erase("message_rate");
  verbs["all_rails"].erase("sizes");
  verbs.erase("memory");
  EXPECT_EQ(refusal(verbs), "taken");
  verbs["rails"][0]["sizes"] = {{{"message_bytes", 64}}};
  EXPECT_EQ(refusal(verbs), "a.json: rails[0].sizes[0].gbps is missing");
  verbs["rails"][0]["sizes"] = 7;
  EXPECT_EQ(refusal(verbs), "a.json: rails[0].sizes: '7' is not a list");
  verbs["rails"][0].erase("sizes");
  verbs["plan"]["operation"] = 7;
  EXPECT_EQ(refusal(verbs), "a.json: plan.operation: '7' is not a string");
}

TEST(Measurement, OfAnotherKindIsRefusedWithWhatIsAllowed) {
  EXPECT_THAT(refusal({{"schema", "railhead.report/1"}}),
              HasSubstr("is not one of railhead.verify/1, railhead.doctor/1"));
  EXPECT_THAT(refusal({{"schema", 4}}), StartsWith("a.json: schema: '4' is not one of"));
  EXPECT_THAT(refusal(json::object()), HasSubstr("schema is missing"));
  EXPECT_THAT(refusal(json::array()), HasSubstr("not a JSON object"));
  EXPECT_FALSE(readMeasurement("a.json", "not JSON").has_value());
  json listener = fixture("verbs.json");
  listener["role"] = "listen";
  EXPECT_THAT(refusal(listener), HasSubstr("role: 'listen' has no figures"));
}

TEST(Measurement, IsBounded) {
  json verify = fixture("verify_spark.json");
  verify["directions"][0]["reason"] = std::string(70'000, 'x');
  EXPECT_THAT(refusal(verify), HasSubstr("is not a string of at most 65536 bytes"));
  verify = fixture("verify_spark.json");
  verify["failures"] = std::vector<std::string>(5000, "x");
  EXPECT_THAT(refusal(verify), HasSubstr("failures has 5000 entries; at most 4096 are allowed"));
  verify["failures"] = std::vector<std::string>(4000, std::string(3000, 'x'));
  EXPECT_THAT(refusal(verify), HasSubstr("a page takes at most 8388608 bytes"));
  const auto deep = readMeasurement("a.json", R"({"schema":)" + std::string(100, '['));
  ASSERT_FALSE(deep.has_value());
  EXPECT_THAT(deep.error().message, HasSubstr("nested deeper than 16 levels"));
}

TEST(Measurement, AFileThatIsCutOffIsSaidToBe) {
  const std::string whole = measurementFixture("verify_log.json").dump();
  const auto cut = readMeasurement("a.json", whole.substr(0, 700));
  ASSERT_FALSE(cut.has_value());
  EXPECT_EQ(cut.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(cut.error().message,
            "a.json: the text is cut off: its JSON does not end, after 700 bytes");
  EXPECT_THAT(readMeasurement("a.json", "").error().message, HasSubstr("is not a JSON object"));
  for (const char* other : {"# x", R"({"schema": 1e999})", "[1e999"}) {
    EXPECT_THAT(readMeasurement("a.json", other).error().message,
                HasSubstr("is not a JSON object"));
  }
}

TEST(Measurement, DirectionsOfALogThatAreAlikeBecomeOne) {
  json log = measurementFixture("verify_log.json");
  const json direction = log["directions"][0];
  log["directions"] = json::array();
  for (int i = 0; i < 5000; ++i) {
    log["directions"].push_back(direction);
    log["directions"].back()["from"] = i;
  }
  for (int i = 0; i < 70; ++i) {
    log["directions"].push_back(direction);
    log["directions"].back()["rails"] = {"mlx5_" + std::to_string(i)};
  }
  const auto read = readMeasurement("a.json", log.dump());
  ASSERT_TRUE(read.has_value()) << read.error().describe();
  EXPECT_EQ(read->kind, MeasurementKind::kVerifyLog);
  const json kept = json::parse(read->json);
  ASSERT_EQ(kept["directions"].size(), 64U);
  EXPECT_EQ(kept["directions"][0]["alike"], 5000);
  EXPECT_EQ(kept["directions"][0]["from"], 0);
  EXPECT_EQ(kept["directions"][1]["alike"], 1);
  EXPECT_EQ(kept["directions_left_out"], 7);
}

}  // namespace
}  // namespace railhead::report
