#include "src/bench/verbs_report.h"

#include "src/bench/json_fields.h"

#include <nlohmann/json.hpp>

namespace railhead::bench {
namespace {

constexpr const char* kSchema = "railhead.bench.verbs/1";

Json toJson(const std::optional<Ceiling>& ceiling) {
  if (!ceiling) return nullptr;
  return {{"gbps", ceiling->rate.gbps()}, {"explanation", ceiling->explanation}};
}

// A rate of 0 was never measured: the test ended before.
Json rateJson(BitRate rate) { return rate.bitsPerSecond > 0 ? Json(rate.gbps()) : Json(nullptr); }

Json shareJson(BitRate rate, const std::optional<Ceiling>& ceiling) {
  const auto share = rate.bitsPerSecond > 0 ? shareOf(rate, ceiling) : std::nullopt;
  return share ? Json(*share) : Json(nullptr);
}

// Keys carry the unit: "median_us", "mean_gbps".
Json toJson(const Summary& summary, const std::string& unit) {
  if (summary.count == 0) return nullptr;
  return {{"samples", summary.count},         {"min_" + unit, summary.minimum},
          {"median_" + unit, summary.median}, {"p90_" + unit, summary.p90},
          {"p99_" + unit, summary.p99},       {"p999_" + unit, summary.p999},
          {"max_" + unit, summary.maximum},   {"mean_" + unit, summary.mean},
          {"low95_" + unit, summary.low95},   {"high95_" + unit, summary.high95},
          {"outliers", summary.outlierCount}, {"outliers_" + unit, summary.outliers}};
}

Json perSecondJson(double messages) { return messages > 0 ? Json(messages) : Json(nullptr); }

Json toJson(const MessageRate& rate) {
  return {{"per_second", perSecondJson(rate.perSecond)},
          {"per_second_together", perSecondJson(rate.perSecondTogether)},
          {"intervals", toJson(rate.intervals, "per_second")}};
}

// Of all rails at once there is neither a rate alone nor a summary.
Json sizesJson(const std::vector<SizeResult>& sizes, bool ofOneRail) {
  Json out = Json::array();
  for (const auto& size : sizes) {
    Json one = {{"message_bytes", size.messageBytes},
                {"gbps", rateJson(size.rate)},
                {"share", shareJson(size.rate, size.ceiling)},
                {"ceiling", toJson(size.ceiling)}};
    if (ofOneRail) {
      one["gbps_together"] = rateJson(size.rateTogether);
      one["intervals"] = toJson(size.intervals, "gbps");
    }
    out.push_back(std::move(one));
  }
  return out;
}

Json planJson(const VerbsPlan& plan) {
  return {{"operation", verbsOperationName(plan.operation)},
          {"message_bytes", plan.messageBytes},
          {"outstanding", plan.outstanding},
          {"pairs_per_rail", plan.pairsPerRail},
          {"seconds", plan.seconds},
          {"latency_seconds", plan.latencySeconds},
          {"rate_bytes", plan.rateBytes},
          {"rate_outstanding", plan.rateOutstanding},
          {"rate_seconds", plan.rateSeconds},
          {"sizes", plan.sizes},
          {"size_seconds", plan.sizeSeconds},
          {"seed", plan.seed}};
}

Json toJson(const RailResult& rail, bool measured) {
  Json out = {{"rail", rail.rail},
              {"device", rail.own.device},
              {"netdev", rail.own.netdev},
              {"gid", rail.own.gid.toString()},
              {"address", rail.own.gid.ip().toString()},
              {"peer_device", rail.peer.device},
              {"peer_gid", rail.peer.gid.toString()},
              {"peer_address", rail.peer.gid.ip().toString()},
              {"mtu", rail.mtu},
              {"bytes_checked", rail.bytesChecked},
              {"bytes_wrong", rail.bytesWrong}};
  if (!measured) return out;
  out["gbps"] = rateJson(rail.rate);
  out["share"] = shareJson(rail.rate, rail.ceiling);
  out["ceiling"] = toJson(rail.ceiling);
  out["gbps_together"] = rateJson(rail.rateTogether);
  out["intervals"] = toJson(rail.intervals, "gbps");
  out["latency"] = toJson(rail.latency, "us");
  out["message_rate"] = toJson(rail.messageRate);
  out["sizes"] = sizesJson(rail.sizes, true);
  return out;
}

Json toJson(const Environment& environment) {
  Json devices = Json::array();
  for (const auto& each : environment.devices) {
    devices.push_back({{"device", each.device},
                       {"driver", each.driver},
                       {"firmware", each.firmware},
                       {"pcie", toJson(each.pcie)}});
  }
  return {{"hostname", environment.hostname},
          {"kernel", environment.kernel},
          {"architecture", environment.architecture},
          {"devices", std::move(devices)}};
}

// Every rail of an end uses the same kind.
std::string memoryOf(const VerbsReport& report, RailOffer RailResult::*end) {
  if (report.rails.empty()) return "";
  return std::string(transferMemoryName((report.rails.front().*end).memory));
}

}  // namespace

std::optional<double> shareOf(BitRate rate, const std::optional<Ceiling>& ceiling) {
  if (!ceiling || !(ceiling->rate.bitsPerSecond > 0)) return std::nullopt;
  return rate.bitsPerSecond / ceiling->rate.bitsPerSecond;
}

std::string toJson(const VerbsReport& report) {
  Json rails = Json::array();
  for (const auto& rail : report.rails) rails.push_back(toJson(rail, report.connector));
  Json out = {{"schema", kSchema},
              {"role", report.connector ? "connect" : "listen"},
              {"peer", report.peer},
              {"verified", report.verified},
              {"bytes_checked", report.bytesChecked},
              {"bytes_wrong", report.bytesWrong},
              {"failure", report.failure ? report.failure->message : ""},
              {"plan", planJson(report.plan)},
              {"memory", memoryOf(report, &RailResult::own)},
              {"peer_memory", memoryOf(report, &RailResult::peer)},
              {"gpu", report.gpu},
              {"rails", std::move(rails)},
              {"environment", toJson(report.environment)}};
  if (!report.connector) return dumped(out, 2);
  out["all_rails"] = {{"gbps", rateJson(report.allRails)},
                      {"share", shareJson(report.allRails, report.allRailsCeiling)},
                      {"ceiling", toJson(report.allRailsCeiling)},
                      {"messages_per_second", perSecondJson(report.allRailsMessagesPerSecond)},
                      {"sizes", sizesJson(report.allRailsSizes, false)}};
  out["latency_by"] = report.latencyByMemory ? "memory" : "completion";
  out["latency"] = toJson(report.latency, "us");
  out["peer_environment"] = toJson(report.peerEnvironment);
  out["steps"] = Json::array();
  for (const auto& step : report.steps) {
    out["steps"].push_back({{"name", step.name}, {"seconds", step.seconds}});
  }
  return dumped(out, 2);
}

}  // namespace railhead::bench
