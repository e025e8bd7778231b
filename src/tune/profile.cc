#include "src/tune/profile.h"

#include "src/base/text.h"
#include "src/digest/sha256.h"
#include "src/tune/profile_text.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <utility>

namespace railhead::tune {
namespace {

constexpr std::uint64_t kMostBytes = std::numeric_limits<std::uint64_t>::max();

std::uint64_t halfWay(std::uint64_t low, std::uint64_t high) {
  const double middle = std::sqrt(static_cast<double>(low)) * std::sqrt(static_cast<double>(high));
  // Rounded into the gap: low < result <= high.
  return std::clamp(static_cast<std::uint64_t>(middle), low + 1, high);
}

// The bytes that the size at `i` stands for, of `sizes` of one operation, ascending.
std::pair<std::uint64_t, std::uint64_t> rangeOf(std::span<const ProfileSize> sizes, std::size_t i) {
  const std::uint64_t bytes = sizes[i].size.bytes;
  const std::uint64_t low = i == 0 ? bytes / 2 : halfWay(sizes[i - 1].size.bytes, bytes);
  if (i + 1 < sizes.size()) return {low, halfWay(bytes, sizes[i + 1].size.bytes) - 1};
  return {low, bytes > kMostBytes / 2 ? kMostBytes : 2 * bytes};
}

void addRows(std::span<const ProfileSize> sizes, const Fingerprint& fabric,
             std::vector<TableRow>& rows) {
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const Setting& setting = sizes[i].setting;
    if (setting.value("algorithm") == kDefault || setting.value("protocol") == kDefault) continue;
    const auto [least, most] = rangeOf(sizes, i);
    TableRow row{sizes[i].size.operation,
                 fabric.ranks,
                 fabric.nodes,
                 least,
                 most,
                 std::string(setting.value("algorithm")),
                 std::string(setting.value("protocol")),
                 parseUnsigned(setting.value("channels")).value_or(0)};
    if (!rows.empty()) {
      TableRow joined = rows.back();
      joined.minBytes = row.minBytes;
      joined.maxBytes = row.maxBytes;
      if (joined == row && rows.back().maxBytes + 1 == row.minBytes) {
        rows.back().maxBytes = row.maxBytes;
        continue;
      }
    }
    rows.push_back(std::move(row));
  }
}

std::vector<TableRow> tableOf(const std::vector<ProfileSize>& sizes, const Fingerprint& fabric) {
  std::vector<TableRow> rows;
  if (fabric.ranks < kMinTableRanks) return rows;
  for (const std::string_view collective : kCollectives) {
    std::vector<ProfileSize> own;
    std::copy_if(sizes.begin(), sizes.end(), std::back_inserter(own),
                 [&](const ProfileSize& one) { return one.size.operation == collective; });
    addRows(own, fabric, rows);
  }
  return rows;
}

std::string versionsText(const std::optional<NcclVersions>& versions) {
  if (!versions.has_value()) return "none";
  if (versions->least == versions->most) return versions->least.text();
  return versions->least.text() + " to " + versions->most.text();
}

// The fields of a fabric, by name, as texts.
std::vector<std::pair<std::string, std::string>> fieldsOf(const Fingerprint& fabric) {
  return {{"gpus", join(fabric.gpus, ", ")},       {"nics", join(fabric.nics, ", ")},
          {"links", join(fabric.links, ", ")},     {"mtu", std::to_string(fabric.mtu)},
          {"ranks", std::to_string(fabric.ranks)}, {"nodes", std::to_string(fabric.nodes)},
          {"nccl", versionsText(fabric.nccl)}};
}

bool covers(const std::optional<NcclVersions>& tuned, const std::optional<NcclVersions>& there) {
  if (!tuned.has_value() || !there.has_value()) return tuned == there;
  return tuned->least <= there->least && there->most <= tuned->most;
}

std::string factorText(const Gain& gain) {
  return numberText(std::round(1000 * gain.factor()) / 1000) + " (" +
         numberText(std::round(1000 * gain.lowFactor()) / 1000) + " to " +
         numberText(std::round(1000 * gain.highFactor()) / 1000) + ")";
}

using Texts = std::map<std::string, std::string>;

Texts textsOf(const Profile& profile) {
  Texts texts;
  for (const auto& [name, value] : fieldsOf(profile.fabric)) texts["fabric " + name] = value;
  for (const auto& [name, value] : profile.environment.values()) {
    texts["environment " + name] = value;
  }
  for (const TableRow& row : profile.table) {
    texts["table " + row.collective + ' ' + std::to_string(row.ranks) + ' ' +
          std::to_string(row.nodes) + ' ' + std::to_string(row.minBytes) + ' ' +
          std::to_string(row.maxBytes)] =
        row.algorithm + ' ' + row.protocol + ' ' + std::to_string(row.channels);
  }
  texts["objective"] = objectiveName(profile.objective);
  texts["gain"] = factorText(profile.gain);
  return texts;
}

}  // namespace

std::string NcclVersion::text() const {
  return std::to_string(major) + '.' + std::to_string(minor) + '.' + std::to_string(patch);
}

std::optional<NcclVersion> NcclVersion::parse(std::string_view version) {
  constexpr std::uint64_t kMost = 9999;
  const auto parts = split(version.substr(0, 32), '.');
  if (parts.size() != 3) return std::nullopt;
  NcclVersion out;
  for (const auto& [part, into] : {std::pair(parts[0], &out.major), std::pair(parts[1], &out.minor),
                                   std::pair(parts[2], &out.patch)}) {
    const auto number = parseUnsigned(part);
    if (!number || *number > kMost) return std::nullopt;
    *into = *number;
  }
  if (out.text() != version) return std::nullopt;
  return out;
}

Result<Profile> makeProfile(const Fingerprint& fabric, const Objective& objective,
                            const SearchResult& result, std::uint64_t seed) {
  if (!result.isSettled()) {
    return Error(ErrorCode::kInvalidArgument, "the search's result was not validated",
                 "go on with --resume until it ends by itself");
  }
  Profile profile{fabric,        result.plan.environment, {}, objective.kind(), result.gain, seed,
                  result.trials, result.seconds,          {}};
  for (std::size_t i = 0; i < objective.sizes().size(); ++i) {
    profile.sizes.push_back({objective.sizes()[i], result.plan.at(i),
                             result.sizes.empty() ? SizeResult() : result.sizes[i]});
  }
  profile.table = tableOf(profile.sizes, fabric);
  RAILHEAD_TRY(checkProfile(profile));
  return profile;
}

std::string profileHash(const Profile& profile) { return digest::sha256Hex(profileBody(profile)); }

Result<std::string> writeProfile(const Profile& profile) {
  RAILHEAD_TRY(checkProfile(profile));
  std::string text = profileBody(profile) + "hash: " + profileHash(profile) + "\n";
  // The reader has limits of its own, on names, sizes and numbers: it decides.
  auto back = parseProfile(text, "the profile as written");
  if (!back.has_value()) {
    Error error = std::move(back).error();
    error.code = ErrorCode::kInvalidArgument;
    return error;
  }
  return text;
}

Result<void> matches(const Profile& profile, const Fingerprint& there) {
  const auto tuned = fieldsOf(profile.fabric);
  const auto found = fieldsOf(there);
  for (std::size_t i = 0; i < tuned.size(); ++i) {
    const auto& [name, value] = tuned[i];
    const bool same =
        name == "nccl" ? covers(profile.fabric.nccl, there.nccl) : value == found[i].second;
    if (same) continue;
    return Error(ErrorCode::kCheckFailed,
                 "the profile is of another fabric: " + name + " is " + inQuotes(found[i].second) +
                     " here and " + inQuotes(value) + " in the profile",
                 "tune this fabric: railhead tune");
  }
  return {};
}

std::vector<std::string> diff(const Profile& before, const Profile& after) {
  const Texts left = textsOf(before);
  const Texts right = textsOf(after);
  std::vector<std::string> lines;
  Texts names = left;
  names.insert(right.begin(), right.end());
  for (const auto& [name, unused] : names) {
    const auto a = left.find(name);
    const auto b = right.find(name);
    const std::string from = a == left.end() ? std::string(kDefault) : a->second;
    const std::string to = b == right.end() ? std::string(kDefault) : b->second;
    if (from == to) continue;
    std::string& line = lines.emplace_back(name);
    line += ": ";
    line += from;
    line += " -> ";
    line += to;
  }
  return lines;
}

}  // namespace railhead::tune
