#include "src/bench/verbs_wire.h"

#include "src/bench/json_fields.h"
#include "src/bench/rail_choice.h"

#include <array>
#include <limits>
#include <utility>

#include <nlohmann/json.hpp>

namespace railhead::bench {
namespace {

constexpr std::size_t kMaxName = 64;
constexpr std::size_t kMaxText = 2048;
constexpr std::uint64_t kMax24 = 0xffffff;
constexpr std::uint64_t kMax32 = 0xffffffff;

constexpr int kMaxReadsInFlight = 255;

constexpr std::array<std::pair<CommandKind, const char*>, 8> kCommandNames{
    {{CommandKind::kPrepare, "prepare"},
     {CommandKind::kReceive, "receive"},
     {CommandKind::kVerify, "verify"},
     {CommandKind::kPush, "push"},
     {CommandKind::kOffer, "offer"},
     {CommandKind::kPull, "pull"},
     {CommandKind::kEcho, "echo"},
     {CommandKind::kFinish, "finish"}}};

// Classes an error may have after crossing the wire; anything else becomes kIo.
constexpr std::array kErrorCodes{ErrorCode::kInvalidArgument,  ErrorCode::kNotFound,
                                 ErrorCode::kPermissionDenied, ErrorCode::kUnavailable,
                                 ErrorCode::kUnsupported,      ErrorCode::kDeadlineExceeded,
                                 ErrorCode::kExhausted,        ErrorCode::kCorrupt,
                                 ErrorCode::kCheckFailed,      ErrorCode::kEnvironment};

Json toJson(const Error& error) {
  return {{"class", errorCodeName(error.code)},
          {"message", error.message.substr(0, kMaxText)},
          {"remedy", error.remedy.substr(0, kMaxText)}};
}

// A Result<Error> could not tell the peer's error from a failure to read it.
struct CarriedError {
  Error value;
};

Result<CarriedError> toError(const Json& json) {
  if (!json.is_object()) return Error(ErrorCode::kCorrupt, "the peer's error is not an object");
  RAILHEAD_TRY_ASSIGN(const std::string name, stringField(json, "class", kMaxName));
  RAILHEAD_TRY_ASSIGN(std::string message, stringField(json, "message", kMaxText));
  RAILHEAD_TRY_ASSIGN(std::string remedy, stringField(json, "remedy", kMaxText));
  Error error(ErrorCode::kIo, std::move(message), std::move(remedy));
  for (const ErrorCode code : kErrorCodes) {
    if (errorCodeName(code) == name) error.code = code;
  }
  return CarriedError{std::move(error)};
}

// What a person may have mistyped, a peer has broken.
template <typename T>
Result<T> asCorrupt(Result<T> parsed) {
  if (!parsed.has_value()) parsed.error().code = ErrorCode::kCorrupt;
  return parsed;
}

Json toJson(const RailOffer& rail) {
  Json pairs = Json::array();
  for (const auto& pair : rail.pairs) pairs.push_back({{"qpn", pair.number}, {"psn", pair.psn}});
  return {{"device", rail.device},
          {"netdev", rail.netdev},
          {"gid", rail.gid.toString()},
          {"prefix", rail.prefixLength},
          {"mtu", rail.mtu},
          {"memory", transferMemoryName(rail.memory)},
          {"reads", rail.readsInFlight},
          {"address", rail.address},
          {"rkey", rail.key},
          {"source", rail.sourceAddress},
          {"source_rkey", rail.sourceKey},
          {"bytes", rail.bytes},
          {"pairs", std::move(pairs)}};
}

Result<PairOffer> toPairOffer(const Json& json) {
  PairOffer out;
  RAILHEAD_TRY_ASSIGN(const auto number, unsignedField(json, "qpn", 0, kMax24));
  RAILHEAD_TRY_ASSIGN(const auto psn, unsignedField(json, "psn", 0, kMax24));
  out.number = static_cast<std::uint32_t>(number);
  out.psn = static_cast<std::uint32_t>(psn);
  return out;
}

Result<RailOffer> toRailOffer(const Json& json) {
  if (!json.is_object()) return Error(ErrorCode::kCorrupt, "the peer's rail is not an object");
  RailOffer out;
  RAILHEAD_TRY_ASSIGN(out.device, stringField(json, "device", kMaxName));
  RAILHEAD_TRY_ASSIGN(out.netdev, stringField(json, "netdev", kMaxName));
  RAILHEAD_TRY_ASSIGN(const std::string gid, stringField(json, "gid", kMaxName));
  RAILHEAD_TRY_ASSIGN(out.gid, verbs::Gid::parse(gid));
  RAILHEAD_TRY_ASSIGN(const auto prefix, unsignedField(json, "prefix", 0, 128));
  RAILHEAD_TRY_ASSIGN(const auto mtu, unsignedField(json, "mtu", 256, 4096));
  RAILHEAD_TRY_ASSIGN(const std::string memory, stringField(json, "memory", kMaxName));
  RAILHEAD_TRY_ASSIGN(out.memory, asCorrupt(parseTransferMemory(memory)));
  RAILHEAD_TRY_ASSIGN(const auto reads, unsignedField(json, "reads", 1, kMaxReadsInFlight));
  RAILHEAD_TRY_ASSIGN(out.address, unsignedField(json, "address"));
  RAILHEAD_TRY_ASSIGN(const auto key, unsignedField(json, "rkey", 0, kMax32));
  RAILHEAD_TRY_ASSIGN(out.sourceAddress, unsignedField(json, "source"));
  RAILHEAD_TRY_ASSIGN(const auto sourceKey, unsignedField(json, "source_rkey", 0, kMax32));
  RAILHEAD_TRY_ASSIGN(out.bytes, unsignedField(json, "bytes"));
  RAILHEAD_TRY_ASSIGN(const Json* pairs, arrayField(json, "pairs", 1, VerbsPlan::kMaxPairs));
  out.prefixLength = static_cast<int>(prefix);
  out.mtu = static_cast<int>(mtu);
  out.readsInFlight = static_cast<int>(reads);
  out.key = static_cast<std::uint32_t>(key);
  out.sourceKey = static_cast<std::uint32_t>(sourceKey);
  for (const Json& pair : *pairs) {
    if (!pair.is_object()) return Error(ErrorCode::kCorrupt, "the peer's pair is not an object");
    RAILHEAD_TRY_ASSIGN(const PairOffer offer, toPairOffer(pair));
    out.pairs.push_back(offer);
  }
  return out;
}

Json toJson(const std::vector<RailOffer>& rails) {
  Json out = Json::array();
  for (const auto& rail : rails) out.push_back(toJson(rail));
  return out;
}

Result<std::vector<RailOffer>> railsField(const Json& json) {
  RAILHEAD_TRY_ASSIGN(const Json* list, arrayField(json, "rails", 1, kMaxRails));
  std::vector<RailOffer> out;
  for (std::size_t i = 0; i < list->size(); ++i) {
    auto rail = toRailOffer((*list)[i]);
    if (!rail.has_value()) {
      return std::move(rail).error().addContext("rail " + std::to_string(i));
    }
    out.push_back(std::move(*rail));
  }
  return out;
}

Json toJson(const VerbsPlan& plan) {
  return {{"operation", verbsOperationName(plan.operation)},
          {"message_bytes", plan.messageBytes},
          {"outstanding", plan.outstanding},
          {"pairs_per_rail", plan.pairsPerRail},
          {"seconds", plan.seconds},
          {"latency_seconds", plan.latencySeconds},
          {"latency_samples", plan.latencySamples},
          {"rate_bytes", plan.rateBytes},
          {"rate_outstanding", plan.rateOutstanding},
          {"rate_seconds", plan.rateSeconds},
          {"sizes", plan.sizes},
          {"size_seconds", plan.sizeSeconds},
          {"seed", plan.seed}};
}

Result<std::vector<std::size_t>> sizesField(const Json& plan) {
  RAILHEAD_TRY_ASSIGN(const Json* list, arrayField(plan, "sizes", 0, VerbsPlan::kMaxSizes));
  std::vector<std::size_t> out;
  for (const Json& size : *list) {
    if (!size.is_number_unsigned()) return badField("sizes", plan, "a list of numbers of bytes");
    out.push_back(size.get<std::size_t>());
  }
  return out;
}

Result<VerbsPlan> planField(const Json& json) {
  const auto found = json.find("plan");
  if (found == json.end() || !found->is_object()) return badField("plan", json, "an object");
  VerbsPlan plan;
  constexpr std::uint64_t kMaxInt = std::numeric_limits<int>::max();
  RAILHEAD_TRY_ASSIGN(const std::string operation, stringField(*found, "operation", kMaxName));
  RAILHEAD_TRY_ASSIGN(plan.operation, asCorrupt(parseVerbsOperation(operation)));
  RAILHEAD_TRY_ASSIGN(plan.messageBytes,
                      unsignedField(*found, "message_bytes", 1, VerbsPlan::kMaxMessage));
  RAILHEAD_TRY_ASSIGN(const auto outstanding, unsignedField(*found, "outstanding", 1, kMaxInt));
  RAILHEAD_TRY_ASSIGN(const auto pairs, unsignedField(*found, "pairs_per_rail", 1, kMaxInt));
  RAILHEAD_TRY_ASSIGN(plan.seconds, numberField(*found, "seconds"));
  RAILHEAD_TRY_ASSIGN(plan.latencySeconds, numberField(*found, "latency_seconds"));
  RAILHEAD_TRY_ASSIGN(const auto samples, unsignedField(*found, "latency_samples", 1, kMaxInt));
  RAILHEAD_TRY_ASSIGN(plan.rateBytes,
                      unsignedField(*found, "rate_bytes", 1, VerbsPlan::kMaxMessage));
  RAILHEAD_TRY_ASSIGN(const auto rate, unsignedField(*found, "rate_outstanding", 1, kMaxInt));
  RAILHEAD_TRY_ASSIGN(plan.rateSeconds, numberField(*found, "rate_seconds"));
  RAILHEAD_TRY_ASSIGN(plan.sizes, sizesField(*found));
  RAILHEAD_TRY_ASSIGN(plan.sizeSeconds, numberField(*found, "size_seconds"));
  RAILHEAD_TRY_ASSIGN(plan.seed, unsignedField(*found, "seed"));
  plan.outstanding = static_cast<int>(outstanding);
  plan.pairsPerRail = static_cast<int>(pairs);
  plan.latencySamples = static_cast<int>(samples);
  plan.rateOutstanding = static_cast<int>(rate);
  RAILHEAD_TRY(plan.check().addContext("the peer's plan"));
  return plan;
}

Json wireOf(const Environment& environment) {
  Json devices = Json::array();
  for (const auto& each : environment.devices) {
    devices.push_back(
        {{"device", each.device}, {"driver", each.driver}, {"firmware", each.firmware}});
  }
  return {{"hostname", environment.hostname},
          {"kernel", environment.kernel},
          {"architecture", environment.architecture},
          {"devices", std::move(devices)}};
}

Result<Environment> environmentField(const Json& json) {
  const auto found = json.find("environment");
  if (found == json.end() || !found->is_object()) return badField("environment", json, "an object");
  Environment out;
  RAILHEAD_TRY_ASSIGN(out.hostname, stringField(*found, "hostname", 256));
  RAILHEAD_TRY_ASSIGN(out.kernel, stringField(*found, "kernel", 256));
  RAILHEAD_TRY_ASSIGN(out.architecture, stringField(*found, "architecture", kMaxName));
  RAILHEAD_TRY_ASSIGN(const Json* devices, arrayField(*found, "devices", 0, kMaxRails));
  for (const Json& device : *devices) {
    if (!device.is_object()) return badField("devices", *found, "a list of objects");
    DeviceEnvironment each;
    RAILHEAD_TRY_ASSIGN(each.device, stringField(device, "device", kMaxName));
    RAILHEAD_TRY_ASSIGN(each.driver, stringField(device, "driver", kMaxName));
    RAILHEAD_TRY_ASSIGN(each.firmware, stringField(device, "firmware", kMaxName));
    out.devices.push_back(std::move(each));
  }
  return out;
}

}  // namespace

std::string encode(const Hello& hello) {
  return dumped({{"plan", toJson(hello.plan)}, {"rails", toJson(hello.rails)}});
}

std::string encode(const Welcome& welcome) {
  return dumped({{"rails", toJson(welcome.rails)}, {"environment", wireOf(welcome.environment)}});
}

std::string encodeRefusal(const Error& error) { return dumped({{"refused", toJson(error)}}); }

std::string encode(const Command& command) {
  const char* name = "finish";
  for (const auto& [kind, text] : kCommandNames) {
    if (kind == command.kind) name = text;
  }
  return dumped({{"do", name},
                 {"rail", command.rail},
                 {"seed", command.seed},
                 {"message_bytes", command.messageBytes},
                 {"outstanding", command.outstanding},
                 {"failure", command.failure.substr(0, kMaxText)}});
}

std::string encode(const Reply& reply) {
  Json json = Json::object();
  if (reply.error) json["error"] = toJson(*reply.error);
  if (reply.mismatch) {
    json["mismatch"] = {{"offset", reply.mismatch->offset},
                        {"expected", reply.mismatch->expected},
                        {"actual", reply.mismatch->actual},
                        {"wrong_bytes", reply.mismatch->wrongBytes}};
  }
  return dumped(json);
}

Result<Hello> decodeHello(std::string_view text) {
  RAILHEAD_TRY_ASSIGN(const Json json, parseObject(text));
  Hello out;
  RAILHEAD_TRY_ASSIGN(out.plan, planField(json));
  RAILHEAD_TRY_ASSIGN(out.rails, railsField(json));
  return out;
}

Result<Welcome> decodeWelcome(std::string_view text) {
  RAILHEAD_TRY_ASSIGN(const Json json, parseObject(text));
  if (const auto refused = json.find("refused"); refused != json.end()) {
    RAILHEAD_TRY_ASSIGN(CarriedError error, toError(*refused));
    return std::move(error.value).addContext("the peer refused");
  }
  Welcome out;
  RAILHEAD_TRY_ASSIGN(out.rails, railsField(json));
  RAILHEAD_TRY_ASSIGN(out.environment, environmentField(json));
  return out;
}

Result<Command> decodeCommand(std::string_view text) {
  RAILHEAD_TRY_ASSIGN(const Json json, parseObject(text));
  Command out;
  RAILHEAD_TRY_ASSIGN(const std::string name, stringField(json, "do", kMaxName));
  bool known = false;
  for (const auto& [kind, each] : kCommandNames) {
    if (name != each) continue;
    out.kind = kind;
    known = true;
  }
  if (!known)
    return badField("do", json, "prepare, receive, verify, push, offer, pull, echo or finish");
  RAILHEAD_TRY_ASSIGN(out.rail, unsignedField(json, "rail", 0, kMaxRails - 1));
  RAILHEAD_TRY_ASSIGN(out.seed, unsignedField(json, "seed"));
  RAILHEAD_TRY_ASSIGN(out.messageBytes,
                      unsignedField(json, "message_bytes", 0, VerbsPlan::kMaxMessage));
  RAILHEAD_TRY_ASSIGN(const auto outstanding,
                      unsignedField(json, "outstanding", 0, VerbsPlan::kMaxOutstanding));
  out.outstanding = static_cast<int>(outstanding);
  RAILHEAD_TRY_ASSIGN(out.failure, stringField(json, "failure", kMaxText));
  return out;
}

Result<Reply> decodeReply(std::string_view text) {
  RAILHEAD_TRY_ASSIGN(const Json json, parseObject(text));
  Reply out;
  if (const auto error = json.find("error"); error != json.end()) {
    RAILHEAD_TRY_ASSIGN(CarriedError carried, toError(*error));
    out.error = std::move(carried.value);
  }
  const auto found = json.find("mismatch");
  if (found == json.end()) return out;
  if (!found->is_object()) return badField("mismatch", json, "an object");
  Mismatch mismatch;
  RAILHEAD_TRY_ASSIGN(mismatch.offset, unsignedField(*found, "offset"));
  RAILHEAD_TRY_ASSIGN(const auto expected, unsignedField(*found, "expected", 0, 255));
  RAILHEAD_TRY_ASSIGN(const auto actual, unsignedField(*found, "actual", 0, 255));
  RAILHEAD_TRY_ASSIGN(mismatch.wrongBytes, unsignedField(*found, "wrong_bytes"));
  mismatch.expected = static_cast<std::uint8_t>(expected);
  mismatch.actual = static_cast<std::uint8_t>(actual);
  out.mismatch = mismatch;
  return out;
}

}  // namespace railhead::bench
