#include "src/bench/collectives/sweep_json.h"

#include "src/bench/json_fields.h"

#include <nlohmann/json.hpp>

namespace railhead::bench {
namespace {

constexpr const char* kSchema = "railhead.bench.collectives/1";
constexpr std::size_t kMaxLines = 100'000;
constexpr std::size_t kMaxSamples = 10'000;

Json lineJson(const SweepLine& line) {
  const auto& call = line.what.call;
  return {{"operation", collective::operationName(call.operation)},
          {"type", collective::elementTypeName(call.type)},
          {"in_place", call.inPlace},
          {"root", call.root},
          {"bytes", line.what.bytes},
          {"count", call.count},
          {"time",
           {{"samples", line.time.count},
            {"calls_per_sample", line.callsPerSample},
            {"min_us", line.time.minimum},
            {"median_us", line.time.median},
            {"p99_us", line.time.p99},
            {"max_us", line.time.maximum},
            {"mean_us", line.time.mean},
            {"low95_us", line.time.low95},
            {"high95_us", line.time.high95},
            {"outliers", line.time.outlierCount},
            {"precise", line.precise}}},
          {"samples_us", line.samples},
          {"algbw_gbytes_per_s", line.algbwGBps},
          {"busbw_gbytes_per_s", line.busbwGBps},
          {"bytes_checked", line.bytesChecked},
          {"elements_wrong", line.elementsWrong}};
}

Json planJson(const CollectivePlan& plan) {
  return {{"min_bytes", plan.minBytes},
          {"max_bytes", plan.maxBytes},
          {"factor", plan.factor},
          {"precision", plan.precision},
          {"seconds_per_size", plan.secondsPerSize},
          {"call_timeout_s", plan.secondsPerCall},
          {"seed", plan.seed}};
}

Json environmentJson(const Environment& environment) {
  return {{"hostname", environment.hostname},
          {"kernel", environment.kernel},
          {"architecture", environment.architecture}};
}

Result<SweepSummary::Line> parseLine(const Json& json) {
  if (!json.is_object()) return Error(ErrorCode::kCorrupt, "lines[]: expected objects");
  SweepSummary::Line line;
  RAILHEAD_TRY_ASSIGN(const auto operation, stringField(json, "operation", 64));
  RAILHEAD_TRY_ASSIGN(const auto type, stringField(json, "type", 64));
  RAILHEAD_TRY_ASSIGN(line.bytes, unsignedField(json, "bytes"));
  const auto inPlace = json.find("in_place");
  if (inPlace == json.end() || !inPlace->is_boolean()) {
    return badField("in_place", json, "true or false");
  }
  line.key = operation + " " + type + " " + std::to_string(line.bytes) +
             (inPlace->get<bool>() ? " in place" : "");
  RAILHEAD_TRY_ASSIGN(const auto* samples, arrayField(json, "samples_us", 0, kMaxSamples));
  for (const auto& sample : *samples) {
    if (!sample.is_number() || !(sample.get<double>() >= 0)) {
      return badField("samples_us", json, "times of 0 and more");
    }
    line.samples.push_back(sample.get<double>());
  }
  return line;
}

}  // namespace

std::string toJson(const SweepReport& report, const Environment& environment,
                   const std::string& failure) {
  Json lines = Json::array();
  for (const auto& line : report.lines) lines.push_back(lineJson(line));
  const Json document = {{"schema", kSchema},
                         {"verified", report.verified && failure.empty()},
                         {"failure", failure},
                         {"ranks", report.ranks},
                         {"nodes", report.nodes},
                         {"backend",
                          {{"name", report.backend.name},
                           {"version", report.backend.version},
                           {"library", report.backend.library},
                           {"device", report.backend.device},
                           {"transports", report.backend.transports}}},
                         {"notes", report.notes},
                         {"memory", collective::memoryKindName(report.memory)},
                         {"plan", planJson(report.plan)},
                         {"lines", lines},
                         {"environment", environmentJson(environment)}};
  return dumped(document, 2);
}

Result<SweepSummary> parseSweep(std::string_view json) {
  RAILHEAD_TRY_ASSIGN(const Json document, parseObject(json));
  RAILHEAD_TRY_ASSIGN(const auto schema, stringField(document, "schema", 64));
  if (schema != kSchema) return badField("schema", document, kSchema);
  SweepSummary out;
  RAILHEAD_TRY_ASSIGN(const auto ranks, unsignedField(document, "ranks", 1, collective::kMaxRanks));
  out.ranks = static_cast<int>(ranks);
  const auto backend = document.find("backend");
  if (backend == document.end() || !backend->is_object()) {
    return badField("backend", document, "an object");
  }
  RAILHEAD_TRY_ASSIGN(const auto name, stringField(*backend, "name", 64));
  RAILHEAD_TRY_ASSIGN(const auto version, stringField(*backend, "version", 64));
  out.backend = name + (version.empty() ? "" : " " + version);
  RAILHEAD_TRY_ASSIGN(const auto* lines, arrayField(document, "lines", 0, kMaxLines));
  for (const auto& line : *lines) {
    RAILHEAD_TRY_ASSIGN(auto parsed, parseLine(line));
    out.lines.push_back(std::move(parsed));
  }
  return out;
}

}  // namespace railhead::bench
