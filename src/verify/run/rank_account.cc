#include "src/verify/run/rank_account.h"

#include "src/bench/json_fields.h"

#include <algorithm>
#include <array>

#include <nlohmann/json.hpp>

namespace railhead::verify {
namespace {

using bench::Json;
constexpr std::size_t kMaxText = 4096;
constexpr std::size_t kMaxList = 1024;

template <typename T>
Json optionalJson(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json movedJson(const MovedBytes& moved) {
  Json rails = Json::array();
  for (const auto& [device, bytes] : moved.rails) {
    rails.push_back({{"device", device}, {"bytes", bytes}});
  }
  return {{"rdma", optionalJson(moved.rdma)},
          {"tcp", optionalJson(moved.tcp)},
          {"wire", optionalJson(moved.wire)},
          {"rails", rails},
          {"sums", moved.sums}};
}

// A member that may be null.
const Json* present(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

Result<std::optional<bool>> optionalFlag(const Json& object, const char* name) {
  const Json* value = present(object, name);
  if (value == nullptr) return std::optional<bool>();
  if (!value->is_boolean()) return bench::badField(name, object, "true, false or null");
  return std::optional(value->get<bool>());
}

Result<std::optional<std::uint64_t>> optionalCount(const Json& object, const char* name) {
  if (present(object, name) == nullptr) return std::optional<std::uint64_t>();
  RAILHEAD_TRY_ASSIGN(const auto value, bench::unsignedField(object, name));
  return std::optional(value);
}

Result<std::vector<std::string>> textsField(const Json& object, const char* name) {
  RAILHEAD_TRY_ASSIGN(const Json* list, bench::arrayField(object, name, 0, kMaxList));
  std::vector<std::string> out;
  for (const auto& each : *list) {
    if (!each.is_string() || each.get_ref<const std::string&>().size() > kMaxText) {
      return bench::badField(name, object, "a list of short texts");
    }
    out.push_back(each.get<std::string>());
  }
  return out;
}

// Of several lines, for readers that bound what they make of it.
Result<std::string> longText(const Json& object, const char* name, std::size_t most) {
  const Json* value = present(object, name);
  if (value == nullptr || !value->is_string() ||
      value->get_ref<const std::string&>().size() > most) {
    return bench::badField(name, object, "text of at most " + std::to_string(most) + " bytes");
  }
  return value->get<std::string>();
}

Result<const Json*> objectField(const Json& object, const char* name) {
  const Json* value = present(object, name);
  if (value == nullptr || !value->is_object()) return bench::badField(name, object, "an object");
  return value;
}

Result<MovedBytes> parseMoved(const Json& object, const char* name) {
  RAILHEAD_TRY_ASSIGN(const Json* moved, objectField(object, name));
  MovedBytes out;
  RAILHEAD_TRY_ASSIGN(out.rdma, optionalCount(*moved, "rdma"));
  RAILHEAD_TRY_ASSIGN(out.tcp, optionalCount(*moved, "tcp"));
  RAILHEAD_TRY_ASSIGN(out.wire, optionalCount(*moved, "wire"));
  RAILHEAD_TRY_ASSIGN(out.sums, textsField(*moved, "sums"));
  RAILHEAD_TRY_ASSIGN(const Json* rails, bench::arrayField(*moved, "rails", 0, kMaxList));
  for (const auto& rail : *rails) {
    RAILHEAD_TRY_ASSIGN(auto device, bench::stringField(rail, "device", kMaxText));
    RAILHEAD_TRY_ASSIGN(const auto bytes, bench::unsignedField(rail, "bytes"));
    out.rails.emplace_back(std::move(device), bytes);
  }
  return out;
}

Result<void> parseHardware(const Json& json, RankAccount& out) {
  RAILHEAD_TRY_ASSIGN(const auto hostBuffers, optionalFlag(json, "host_buffers"));
  RAILHEAD_TRY_ASSIGN(const auto software, optionalFlag(json, "software_nic"));
  out.hostBuffers = hostBuffers.value_or(false);
  out.softwareNic = software.value_or(false);
  RAILHEAD_TRY_ASSIGN(out.peermem, optionalFlag(json, "peermem"));
  if (const Json* gpu = present(json, "gpu"); gpu != nullptr) {
    if (!gpu->is_object()) return bench::badField("gpu", json, "an object");
    GpuAttributes attributes;
    RAILHEAD_TRY_ASSIGN(attributes.gpuDirectRdma, optionalFlag(*gpu, "gpu_direct_rdma"));
    RAILHEAD_TRY_ASSIGN(attributes.dmaBuf, optionalFlag(*gpu, "dma_buf"));
    RAILHEAD_TRY_ASSIGN(attributes.integrated, optionalFlag(*gpu, "integrated"));
    out.gpu = attributes;
  }
  if (const Json* probe = present(json, "probe"); probe != nullptr) {
    if (!probe->is_object()) return bench::badField("probe", json, "an object");
    ProbeResult result;
    RAILHEAD_TRY_ASSIGN(const auto passed, optionalFlag(*probe, "passed"));
    result.passed = passed.value_or(false);
    RAILHEAD_TRY_ASSIGN(result.detail, bench::stringField(*probe, "detail", kMaxText));
    out.probe = result;
  }
  return {};
}

}  // namespace

std::string RankAccount::name() const {
  return "rank " + std::to_string(rank) + (node.empty() ? "" : " (" + node + ")");
}

std::string toJson(const RankAccount& account) {
  Json out = {{"rank", account.rank},
              {"node", account.node},
              {"device", account.device},
              {"backend", account.backend},
              {"host_buffers", account.hostBuffers},
              {"software_nic", account.softwareNic},
              {"peermem", optionalJson(account.peermem)},
              {"gpu", nullptr},
              {"probe", nullptr},
              {"sent", movedJson(account.sent)},
              {"received", movedJson(account.received)},
              {"retransmits", account.retransmits},
              {"rails_available", account.railsAvailable},
              {"rails_opened", account.railsOpened},
              {"log", account.log},
              {"topology", account.topology},
              {"ceiling_gbps", optionalJson(account.ceilingGbps)},
              {"ceiling_explanation", account.ceilingExplanation},
              {"bytes_moved", account.bytesMoved},
              {"seconds", account.seconds},
              {"bytes_checked", account.bytesChecked},
              {"elements_wrong", account.elementsWrong},
              {"notes", account.notes}};
  if (account.gpu) {
    out["gpu"] = {{"gpu_direct_rdma", optionalJson(account.gpu->gpuDirectRdma)},
                  {"dma_buf", optionalJson(account.gpu->dmaBuf)},
                  {"integrated", optionalJson(account.gpu->integrated)}};
  }
  if (account.probe) {
    out["probe"] = {{"passed", account.probe->passed}, {"detail", account.probe->detail}};
  }
  return bench::dumped(out);
}

Result<RankAccount> parseAccount(std::string_view text) {
  RAILHEAD_TRY_ASSIGN(const Json json, bench::parseObject(text));
  RankAccount out;
  RAILHEAD_TRY_ASSIGN(const auto rank, bench::unsignedField(json, "rank", 0, 4095));
  out.rank = static_cast<int>(rank);
  RAILHEAD_TRY_ASSIGN(out.node, bench::stringField(json, "node", kMaxText));
  RAILHEAD_TRY_ASSIGN(out.device, bench::stringField(json, "device", kMaxText));
  RAILHEAD_TRY_ASSIGN(out.backend, bench::stringField(json, "backend", kMaxText));
  RAILHEAD_TRY(parseHardware(json, out));
  RAILHEAD_TRY_ASSIGN(out.sent, parseMoved(json, "sent"));
  RAILHEAD_TRY_ASSIGN(out.received, parseMoved(json, "received"));
  RAILHEAD_TRY_ASSIGN(out.retransmits, bench::unsignedField(json, "retransmits"));
  RAILHEAD_TRY_ASSIGN(out.railsAvailable, textsField(json, "rails_available"));
  RAILHEAD_TRY_ASSIGN(out.railsOpened, textsField(json, "rails_opened"));
  RAILHEAD_TRY_ASSIGN(out.log, longText(json, "log", kMaxEvidenceLines));
  RAILHEAD_TRY_ASSIGN(out.topology, longText(json, "topology", kMaxTopologyDump));
  if (present(json, "ceiling_gbps") != nullptr) {
    RAILHEAD_TRY_ASSIGN(out.ceilingGbps, bench::numberField(json, "ceiling_gbps"));
  }
  RAILHEAD_TRY_ASSIGN(out.ceilingExplanation,
                      bench::stringField(json, "ceiling_explanation", kMaxText));
  RAILHEAD_TRY_ASSIGN(out.bytesMoved, bench::unsignedField(json, "bytes_moved"));
  RAILHEAD_TRY_ASSIGN(out.seconds, bench::numberField(json, "seconds"));
  RAILHEAD_TRY_ASSIGN(out.bytesChecked, bench::unsignedField(json, "bytes_checked"));
  RAILHEAD_TRY_ASSIGN(out.elementsWrong, bench::unsignedField(json, "elements_wrong"));
  RAILHEAD_TRY_ASSIGN(out.notes, textsField(json, "notes"));
  return out;
}

std::string evidenceLines(std::string_view log, std::size_t most) {
  // "/GDRDMA": torn off its channel line, too.
  static constexpr std::array<std::string_view, 11> kWanted = {
      "Channel ",     "NET/IB",        "NET/Socket",      "Using network",
      "Assigned NET", "Connected all", "GPU Direct RDMA", "NCCL version",
      "NCCL_",        "Init",          "/GDRDMA"};
  std::string out;
  while (!log.empty()) {
    // A last line without an end was cut, and stays so: it is no evidence.
    const auto newline = log.find('\n');
    const auto line = log.substr(0, newline == std::string_view::npos ? newline : newline + 1);
    log.remove_prefix(line.size());
    const bool wanted = std::any_of(kWanted.begin(), kWanted.end(), [&](std::string_view word) {
      return line.find(word) != std::string_view::npos;
    });
    if (!wanted) continue;
    if (out.size() + line.size() > most) break;
    out += line;
  }
  return out;
}

}  // namespace railhead::verify
