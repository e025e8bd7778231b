#include "src/report/measurements/measurement.h"

#include "src/base/text.h"
#include "src/json/json.h"
#include "src/report/measurements/known_fields.h"
#include "src/report/measurements/logged_paths.h"

#include <array>

#include <nlohmann/json.hpp>

namespace railhead::report {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMaxDocument = 64 << 20;
constexpr std::size_t kMaxKept = 8 << 20;
constexpr int kMaxDepth = 16;

struct Kind {
  MeasurementKind kind;
  std::string_view name;
  std::string_view schema;
  std::string_view command;
};
constexpr std::array<Kind, 7> kKinds{{
    {MeasurementKind::kVerify, "verify", "railhead.verify/1", "railhead verify --out FILE"},
    {MeasurementKind::kDoctor, "doctor", "railhead.doctor/1", "railhead doctor --json"},
    {MeasurementKind::kCollectives, "collectives", "railhead.bench.collectives/1",
     "railhead bench collectives --out FILE"},
    {MeasurementKind::kVerbs, "verbs", "railhead.bench.verbs/1", "railhead bench verbs --json"},
    {MeasurementKind::kTune, "tune", "railhead.tune/1", "railhead tune --json"},
    {MeasurementKind::kTrain, "train", "railhead.train.run/1", "railhead train show RUN --json"},
    {MeasurementKind::kVerifyLog, "verify-log", "railhead.verify-log/1",
     "railhead verify --log LOG --out FILE"},
}};

const Kind& knownKind(MeasurementKind kind) { return kKinds.at(static_cast<std::size_t>(kind)); }

std::string allSchemas() {
  std::string all;
  for (const auto& kind : kKinds) all += (all.empty() ? "" : ", ") + std::string(kind.schema);
  return all;
}
std::string allCommands() {
  std::string all;
  for (const auto& kind : kKinds) all += (all.empty() ? "" : ", ") + std::string(kind.command);
  return all;
}

Error notOurs(const std::string& why) {
  return Error(ErrorCode::kInvalidArgument, why, "give files written by " + allCommands());
}

// Refuses deep nesting while parsing, so that a hostile text cannot cost a deep structure.
Result<Json> parseDocument(std::string_view text) {
  if (text.size() > kMaxDocument) {
    return notOurs(std::to_string(text.size()) + " bytes; at most " + std::to_string(kMaxDocument) +
                   " are allowed");
  }
  bool tooDeep = false;
  const auto guard = [&tooDeep](int depth, Json::parse_event_t, Json&) {
    if (depth > kMaxDepth) tooDeep = true;
    return !tooDeep;
  };
  Json json = Json::parse(text, guard, false);
  if (tooDeep) return notOurs("nested deeper than " + std::to_string(kMaxDepth) + " levels");
  if (json.is_discarded() && json::lacksItsEnd(text)) {
    return notOurs("the text is cut off: its JSON does not end, after " +
                   std::to_string(text.size()) + " bytes");
  }
  if (json.is_discarded() || !json.is_object()) return notOurs("the text is not a JSON object");
  return json;
}

Result<MeasurementKind> recognise(const Json& document) {
  const auto schema = document.find("schema");
  if (schema == document.end()) return notOurs("schema is missing; allowed: " + allSchemas());
  for (const auto& kind : kKinds) {
    if (*schema == kind.schema) return kind.kind;
  }
  const std::string shown = schema->dump(-1, ' ', false, Json::error_handler_t::replace);
  return notOurs("schema: " + inQuotes(shown, 60) + " is not one of " + allSchemas());
}

Result<Measurement> read(std::string_view text) {
  RAILHEAD_TRY_ASSIGN(Json document, parseDocument(text));
  RAILHEAD_TRY_ASSIGN(const MeasurementKind kind, recognise(document));
  const auto role = document.find("role");
  if (kind == MeasurementKind::kVerbs && role != document.end() && *role == "listen") {
    return Error(ErrorCode::kInvalidArgument, "role: 'listen' has no figures",
                 "give the JSON of the end that ran with --connect");
  }
  RAILHEAD_TRY(checkFields(kind, document));
  if (kind == MeasurementKind::kCollectives) {
    for (auto& line : document["lines"]) line.erase("samples_us");
  }
  if (kind == MeasurementKind::kVerifyLog) foldDirections(document);
  Measurement out{kind, {}, document.dump(-1, ' ', false, Json::error_handler_t::replace)};
  if (out.json.size() > kMaxKept) {
    return Error(ErrorCode::kInvalidArgument, "a page takes at most " + std::to_string(kMaxKept) +
                                                  " bytes of one file; it has " +
                                                  std::to_string(out.json.size()));
  }
  return out;
}

}  // namespace

std::string_view kindName(MeasurementKind kind) { return knownKind(kind).name; }
std::string_view schemaOf(MeasurementKind kind) { return knownKind(kind).schema; }

Result<Measurement> readMeasurement(const std::string& file, std::string_view text) {
  RAILHEAD_TRY_ASSIGN(auto measurement, read(text).addContext(file));
  measurement.file = file;
  return measurement;
}

}  // namespace railhead::report
