#include "src/agent/cluster/ordinal_lease.h"

#include "src/agent/cluster/timestamp.h"
#include "src/base/text.h"
#include "src/json/json.h"

#include <map>
#include <optional>

#include <nlohmann/json.hpp>

namespace railhead::agent {
namespace {

using json::member;
using Json = json::Value;

constexpr int kMaxTries = 100;  // each lost race means that another node has its number

kube::Collection leases(const OrdinalPlace& place) {
  return {"coordination.k8s.io", "v1", "leases", place.podNamespace};
}

std::string leaseName(const OrdinalPlace& place, int number) {
  return place.prefix + "-" + std::to_string(number);
}

// The number in a Lease's name; nothing when it is another's Lease.
std::optional<int> numberOf(const OrdinalPlace& place, std::string_view name) {
  if (!name.starts_with(place.prefix + "-")) return std::nullopt;
  const auto digits = name.substr(place.prefix.size() + 1);
  const auto number = parseUnsigned(digits);
  if (!number || *number >= static_cast<std::uint64_t>(place.limit)) return std::nullopt;
  if (std::to_string(*number) != digits) return std::nullopt;  // "007"
  return static_cast<int>(*number);
}

std::string textAt(const Json& object, std::string_view part, std::string_view key) {
  const Json* inner = member(object, part);
  return inner == nullptr ? std::string() : json::textMember(*inner, key, 253).value_or("");
}

// Holders by number.
Result<std::map<int, std::string>> holders(kube::ApiServer& api, const OrdinalPlace& place,
                                           const kube::Cancel& cancel) {
  RAILHEAD_TRY_ASSIGN(const auto list, api.list(leases(place), cancel));
  std::map<int, std::string> found;
  for (const auto& text : list.objects) {
    RAILHEAD_TRY_ASSIGN(const Json lease, json::parseObject(text, "a lease"));
    const auto number = numberOf(place, textAt(lease, "metadata", "name"));
    if (number) found[*number] = textAt(lease, "spec", "holderIdentity");
  }
  return found;
}

std::string leaseText(const OrdinalPlace& place, int number, os::Clock& clock) {
  const std::string now = microTime(clock.wallTime());
  return json::dump(
      Json{{"apiVersion", "coordination.k8s.io/v1"},
           {"kind", "Lease"},
           {"metadata",
            {{"name", leaseName(place, number)},
             {"labels", {{"app.kubernetes.io/managed-by", "railhead-agent"}}}}},
           {"spec", {{"holderIdentity", place.node}, {"acquireTime", now}, {"renewTime", now}}}});
}

Result<int> claim(kube::ApiServer& api, os::Clock& clock, const OrdinalPlace& place,
                  const kube::Cancel& cancel) {
  for (int tries = 0; tries < kMaxTries; ++tries) {
    RAILHEAD_TRY_ASSIGN(const auto held, holders(api, place, cancel));
    for (const auto& [number, holder] : held) {
      if (holder == place.node) return number;
    }
    int free = 0;
    while (held.count(free) != 0) ++free;
    if (free >= place.limit) {
      return Error(ErrorCode::kExhausted,
                   "all " + std::to_string(place.limit) + " ordinals are held by other nodes",
                   "raise node.nodes, or delete the Leases of nodes that are gone");
    }
    const auto made = api.create(leases(place), leaseText(place, free, clock), cancel);
    if (made.has_value()) return free;
    // Another node was faster: look again.
    if (made.error().code != ErrorCode::kAlreadyExists) return made.error();
  }
  return Error(ErrorCode::kBusy, "other nodes were faster " + std::to_string(kMaxTries) + " times");
}

std::string keptText(const OrdinalPlace& place, int number) {
  return json::dump(Json{{"version", 1},
                         {"node", place.node},
                         {"lease", place.podNamespace + "/" + leaseName(place, number)},
                         {"ordinal", number}});
}

}  // namespace

std::optional<int> rememberedOrdinal(os::Filesystem& files, const OrdinalPlace& place,
                                     const std::string& file) {
  const auto text = files.readFile(file, 4096);
  if (!text.has_value()) return std::nullopt;
  const auto json = json::parseObject(*text, file);
  if (!json.has_value()) return std::nullopt;
  const Json* number = member(*json, "ordinal");
  if (number == nullptr || !number->is_number_unsigned()) return std::nullopt;
  const auto value = number->get<std::uint64_t>();
  if (value >= static_cast<std::uint64_t>(place.limit)) return std::nullopt;
  const int ordinal = static_cast<int>(value);
  return keptText(place, ordinal) == json::dump(*json) ? std::optional(ordinal) : std::nullopt;
}

Result<OrdinalClaim> claimOrdinal(kube::ApiServer& api, os::Filesystem& files, os::Clock& clock,
                                  const OrdinalPlace& place, const std::string& file,
                                  const kube::Cancel& cancel) {
  auto claimed = claim(api, clock, place, cancel);
  if (claimed.has_value()) {
    OrdinalClaim done{*claimed, {}, true};
    const auto written = files.replaceFile(file, keptText(place, *claimed), 0600);
    if (!written.has_value()) done.warning = "it is not remembered: " + written.error().describe();
    return done;
  }
  if (const auto known = rememberedOrdinal(files, place, file)) {
    return OrdinalClaim{*known, "it is the remembered one: " + claimed.error().describe(), false};
  }
  Error error = std::move(claimed).error();
  if (error.remedy.empty()) {
    error.remedy =
        "the first start on a node needs the API server and its Leases; or set node.ordinal to a "
        "number";
  }
  return std::move(error).addContext("claim this node's ordinal (node.ordinal: lease)");
}

}  // namespace railhead::agent
