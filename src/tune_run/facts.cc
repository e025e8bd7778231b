#include "src/tune_run/facts.h"

#include "src/base/text.h"
#include "src/tune_run/json_field.h"

#include <algorithm>
#include <map>
#include <utility>

#include <nlohmann/json.hpp>

namespace railhead::tune {
namespace {

// The GPUs of each node, in the order of the ranks.
std::map<std::string, std::vector<std::string>> gpusByNode(const std::vector<RankFacts>& ranks) {
  std::map<std::string, std::vector<std::string>> out;
  for (const RankFacts& rank : ranks) {
    auto& gpus = out[rank.node];
    if (!rank.gpu.empty()) gpus.push_back(rank.gpu);
  }
  return out;
}

Error differs(const std::string& field, const RankFacts& first, const std::string& value,
              const RankFacts& other, const std::string& otherValue) {
  return Error(ErrorCode::kCheckFailed,
               field + " is " + inQuotes(value) + " on " + first.node + " and " +
                   inQuotes(otherValue) + " on " + other.node + ": one profile cannot be of both",
               "tune ranks on nodes that are alike");
}

Result<void> checkAlike(const std::vector<RankFacts>& ranks) {
  const RankFacts& first = ranks.front();
  const auto gpus = gpusByNode(ranks);
  for (const RankFacts& other : ranks) {
    const std::pair<const char*, std::pair<std::string, std::string>> fields[] = {
        {"backend", {first.backend, other.backend}},
        {"nccl", {first.version, other.version}},
        {"gpus", {join(gpus.at(first.node), ", "), join(gpus.at(other.node), ", ")}},
        {"nics", {join(first.nics, ", "), join(other.nics, ", ")}},
        {"links", {join(first.links, ", "), join(other.links, ", ")}},
        {"mtu", {std::to_string(first.mtu), std::to_string(other.mtu)}}};
    for (const auto& [name, values] : fields) {
      if (values.first != values.second)
        return differs(name, first, values.first, other, values.second);
    }
  }
  return {};
}

}  // namespace

std::string encode(const RankFacts& facts) {
  return Json{{"node", facts.node},           {"backend", facts.backend},
              {"version", facts.version},     {"gpu", facts.gpu},
              {"hcas", facts.hcas},           {"nics", facts.nics},
              {"links", facts.links},         {"mtu", facts.mtu},
              {"rails", facts.rails},         {"sockets", facts.overSockets},
              {"gdr", facts.hasGdr},          {"integrated", facts.isIntegratedGpu},
              {"no_choices", facts.noChoices}}
      .dump(-1, ' ', true, Json::error_handler_t::replace);
}

Result<RankFacts> decodeFacts(std::string_view json) {
  const Json object = Json::parse(json, nullptr, false);
  JsonFields fields(object);
  RankFacts facts;
  facts.node = fields.text("node");
  facts.backend = fields.text("backend");
  facts.version = fields.text("version");
  facts.gpu = fields.text("gpu");
  facts.hcas = fields.texts("hcas");
  facts.nics = fields.texts("nics");
  facts.links = fields.texts("links");
  facts.mtu = fields.number("mtu");
  facts.rails = fields.number("rails");
  facts.overSockets = fields.flag("sockets");
  facts.hasGdr = fields.flag("gdr");
  facts.isIntegratedGpu = fields.flag("integrated");
  facts.noChoices = fields.text("no_choices");
  RAILHEAD_TRY(fields.result());
  return facts;
}

Space GangFacts::space() const {
  Space space = fabric.nccl.has_value() ? ncclSpace(platform) : hostSpace(platform);
  if (noChoices.empty()) return space;
  std::erase_if(space.knobs, [](const Knob& knob) { return knob.layer == Layer::kPerSize; });
  std::erase_if(space.orders, [&](const OrderLimit& limit) {
    return space.find(limit.lower) == nullptr || space.find(limit.upper) == nullptr;
  });
  space.reaches.clear();
  return space;
}

Result<GangFacts> factsOf(const std::vector<RankFacts>& ranks) {
  if (ranks.empty()) return Error(ErrorCode::kInternal, "a gang without ranks");
  RAILHEAD_TRY(checkAlike(ranks));
  const RankFacts& first = ranks.front();
  const auto gpus = gpusByNode(ranks);
  GangFacts out;
  out.backend = first.backend;
  out.fabric.gpus = gpus.at(first.node);
  out.fabric.nics = first.nics;
  out.fabric.links = first.links;
  out.fabric.mtu = first.mtu;
  out.fabric.ranks = ranks.size();
  out.fabric.nodes = gpus.size();
  if (first.backend == "nccl") {
    const auto version = NcclVersion::parse(first.version);
    if (!version) {
      return Error(ErrorCode::kUnsupported, "NCCL's version is " + inQuotes(first.version) +
                                                ", not three numbers like 2.28.9");
    }
    out.fabric.nccl = NcclVersions{*version, *version};
  }
  Platform& platform = out.platform;
  platform.ranks = static_cast<int>(ranks.size());
  platform.nodes = static_cast<int>(gpus.size());
  platform.rails = static_cast<int>(first.rails);
  platform.hcas = first.hcas;
  // Within a node NCCL needs no network: the knobs of sockets do nothing there.
  platform.overSockets = first.overSockets && (first.backend == "host" || platform.nodes > 1);
  platform.hasGdr = first.hasGdr;
  platform.isIntegratedGpu = first.isIntegratedGpu;
  for (const RankFacts& rank : ranks) {
    if (!rank.noChoices.empty() && out.noChoices.empty())
      out.noChoices = rank.node + ": " + rank.noChoices;
  }
  return out;
}

}  // namespace railhead::tune
