#include "src/tune_run/talk.h"

#include "src/base/text.h"
#include "src/tune_run/json_field.h"

#include <algorithm>
#include <array>

#include <nlohmann/json.hpp>

namespace railhead::tune {
namespace {

constexpr std::array<std::string_view, 3> kPerSizeKnobs{"algorithm", "protocol", "channels"};
constexpr std::array kFailures{Outcome::kHung, Outcome::kCrashed, Outcome::kCorrupt,
                               Outcome::kRefused, Outcome::kNoRoom};
constexpr std::size_t kMaxFailureDetail = 1000;
constexpr std::uint64_t kMaxMessage = 1ULL << 40;
constexpr std::uint64_t kMaxUnits = 1ULL << 40;

std::string lineOf(const Json& json) {
  return json.dump(-1, ' ', true, Json::error_handler_t::replace);
}

Result<void> takeSizes(const Json* list, Order& into) {
  if (list == nullptr || list->size() > kMaxSizes)
    return Error(ErrorCode::kCorrupt, "field sizes is not a list of sizes");
  for (const Json& entry : *list) {
    JsonFields fields(entry);
    Size size;
    size.operation = fields.text("operation");
    size.bytes = fields.number("bytes", kMaxMessage);
    size.overlapped = fields.flag("overlapped");
    into.units.push_back(fields.number("units", kMaxUnits));
    RAILHEAD_TRY(fields.result());
    RAILHEAD_TRY(parseSizeOperation(size.operation));
    into.sizes.push_back(std::move(size));
  }
  return {};
}

Result<Reply> workReply(JsonFields& fields) {
  WorkReply reply;
  reply.order = fields.number("order");
  reply.size = fields.number("size", kMaxSizes);
  reply.work.unitsPerCall = fields.number("units", kMaxUnits);
  const auto seconds = fields.reals("seconds");
  RAILHEAD_TRY(fields.result());
  if (reply.work.unitsPerCall == 0 || seconds.size() != 3)
    return Error(ErrorCode::kCorrupt, "work of another kind beside a call");
  reply.work.callSeconds = seconds[0];
  reply.work.computeSeconds = seconds[1];
  reply.work.pairSeconds = seconds[2];
  return Reply{std::nullopt, std::nullopt, std::nullopt, reply};
}

Result<Reply> factsReply(JsonFields& fields) {
  FactsReply reply;
  reply.rank = fields.number("rank", kMaxTableRanks);
  reply.ranks = fields.number("ranks", kMaxTableRanks);
  const std::string facts = fields.text("facts");
  RAILHEAD_TRY(fields.result());
  RAILHEAD_TRY_ASSIGN(reply.facts, decodeFacts(facts));
  if (reply.rank >= reply.ranks) return Error(ErrorCode::kCorrupt, "a rank that is none");
  return Reply{std::move(reply), std::nullopt, std::nullopt};
}

Result<Reply> failedReply(JsonFields& fields) {
  const std::string name = fields.text("failed");
  FailedReply reply;
  reply.detail = fields.text("detail");
  RAILHEAD_TRY(fields.result());
  const auto* known = std::find_if(kFailures.begin(), kFailures.end(),
                                   [&](Outcome outcome) { return outcomeName(outcome) == name; });
  if (known == kFailures.end()) {
    return Error(ErrorCode::kCorrupt, "field failed is " + inQuotes(name) + ", which is none");
  }
  reply.outcome = *known;
  return Reply{std::nullopt, std::nullopt, std::move(reply)};
}

}  // namespace

bool isPerSizeKnob(std::string_view knob) {
  return std::find(kPerSizeKnobs.begin(), kPerSizeKnobs.end(), knob) != kPerSizeKnobs.end();
}

Layers layersOf(const Setting& setting) {
  Layers out;
  for (const auto& [name, value] : setting.values())
    (isPerSizeKnob(name) ? out.choice : out.process).set(name, value);
  return out;
}

std::string sizeOperation(collective::Operation operation) {
  std::string name(collective::operationName(operation));
  std::erase(name, '_');
  return name;
}

Result<collective::Operation> parseSizeOperation(std::string_view name) {
  for (const auto operation : collective::allOperations()) {
    if (sizeOperation(operation) == name) return operation;
  }
  return Error(ErrorCode::kCorrupt, "operation " + inQuotes(name) + " is none");
}

std::string encode(const Order& order) {
  Json sizes = Json::array();
  for (std::size_t i = 0; i < order.sizes.size(); ++i) {
    const Size& size = order.sizes[i];
    sizes.push_back({{"operation", size.operation},
                     {"bytes", size.bytes},
                     {"overlapped", size.overlapped},
                     {"units", order.unitsOf(i)}});
  }
  return lineOf({{"order", order.number},
                 {"choice", order.choice.text()},
                 {"sizes", sizes},
                 {"repetitions", order.repetitions}}) +
         "\n";
}

Result<Order> decodeOrder(std::string_view line) {
  const Json json = Json::parse(line, nullptr, false);
  JsonFields fields(json);
  Order order;
  order.number = fields.number("order");
  const std::string choice = fields.text("choice");
  const Json* sizes = fields.list("sizes");
  order.repetitions = static_cast<int>(fields.number("repetitions", kMaxOrderRepetitions));
  RAILHEAD_TRY(fields.result());
  RAILHEAD_TRY_ASSIGN(order.choice, Setting::parse(choice));
  RAILHEAD_TRY(takeSizes(sizes, order));
  if (order.repetitions < 1) return Error(ErrorCode::kCorrupt, "field repetitions is 0");
  return order;
}

std::string encode(const FactsReply& reply) {
  return lineOf({{"rank", reply.rank}, {"ranks", reply.ranks}, {"facts", encode(reply.facts)}});
}
std::string encode(const TimesReply& reply) {
  return lineOf({{"order", reply.order}, {"size", reply.size}, {"seconds", reply.seconds}});
}
std::string encode(const WorkReply& reply) {
  return lineOf(
      {{"order", reply.order},
       {"size", reply.size},
       {"units", reply.work.unitsPerCall},
       {"seconds", {reply.work.callSeconds, reply.work.computeSeconds, reply.work.pairSeconds}}});
}
std::string encode(const FailedReply& reply) {
  return lineOf({{"failed", outcomeName(reply.outcome)},
                 {"detail", reply.detail.substr(0, kMaxFailureDetail)}});
}

Result<Reply> decodeReply(std::string_view line) {
  const Json json = Json::parse(line, nullptr, false);
  JsonFields fields(json);
  if (fields.has("facts")) return factsReply(fields);
  if (fields.has("failed")) return failedReply(fields);
  if (fields.has("units")) return workReply(fields);
  TimesReply reply;
  reply.order = fields.number("order");
  reply.size = fields.number("size", kMaxSizes);
  reply.seconds = fields.reals("seconds");
  RAILHEAD_TRY(fields.result());
  return Reply{std::nullopt, std::move(reply), std::nullopt};
}

}  // namespace railhead::tune
