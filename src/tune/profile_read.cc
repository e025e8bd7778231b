#include "src/base/text.h"
#include "src/config/field.h"
#include "src/tune/profile.h"
#include "src/tune/profile_text.h"
#include "src/tune/space.h"
#include "src/tune/trial.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

namespace railhead::tune {
namespace {

using config::Field;

constexpr auto kAnyNumber = std::numeric_limits<std::uint64_t>::max();

Result<std::uint64_t> numberAt(const Field& map, std::string_view key, std::uint64_t least,
                               std::uint64_t most) {
  RAILHEAD_TRY_ASSIGN(const Field field, map.required(key, "a whole number"));
  return field.number(least, most);
}

Result<double> decimalAt(const Field& map, std::string_view key) {
  RAILHEAD_TRY_ASSIGN(const Field field, map.required(key, "a number"));
  RAILHEAD_TRY_ASSIGN(const std::string text, field.text("a number", 32));
  const auto value = parseDouble(text);
  if (!value || !std::isfinite(*value)) return field.complainAllowed("a finite number");
  return *value;
}

Result<std::vector<std::string>> plainTextsAt(const Field& map, std::string_view key) {
  RAILHEAD_TRY_ASSIGN(const Field field, map.required(key, "a list of texts"));
  RAILHEAD_TRY_ASSIGN(const auto entries, field.list(0, kMaxFingerprintTexts));
  std::vector<std::string> texts;
  for (const Field& entry : entries) {
    RAILHEAD_TRY_ASSIGN(std::string text, entry.text(kPlainTextAllowed, 128));
    if (!isPlainText(text)) return entry.complainAllowed(kPlainTextAllowed);
    texts.push_back(std::move(text));
  }
  return texts;
}

Result<NcclVersion> versionAt(const Field& map, std::string_view key) {
  constexpr std::string_view kAllowed = "a version, like 2.28.9";
  RAILHEAD_TRY_ASSIGN(const Field field, map.required(key, kAllowed));
  RAILHEAD_TRY_ASSIGN(const std::string text, field.text(kAllowed, 32));
  const auto version = NcclVersion::parse(text);
  if (!version) return field.complainAllowed(kAllowed);
  return *version;
}

Result<Fingerprint> readFabric(const Field& field) {
  RAILHEAD_TRY(field.checkKeys({"gpus", "nics", "links", "mtu", "ranks", "nodes", "nccl"}));
  Fingerprint fabric;
  RAILHEAD_TRY_ASSIGN(fabric.gpus, plainTextsAt(field, "gpus"));
  RAILHEAD_TRY_ASSIGN(fabric.nics, plainTextsAt(field, "nics"));
  RAILHEAD_TRY_ASSIGN(fabric.links, plainTextsAt(field, "links"));
  RAILHEAD_TRY_ASSIGN(fabric.mtu, numberAt(field, "mtu", 0, kAnyNumber));
  RAILHEAD_TRY_ASSIGN(fabric.ranks, numberAt(field, "ranks", 1, kMaxTableRanks));
  RAILHEAD_TRY_ASSIGN(fabric.nodes, numberAt(field, "nodes", 1, fabric.ranks));
  const Field nccl = field.child("nccl");
  if (!nccl.present()) return fabric;
  RAILHEAD_TRY(nccl.checkKeys({"least", "most"}));
  NcclVersions versions;
  RAILHEAD_TRY_ASSIGN(versions.least, versionAt(nccl, "least"));
  RAILHEAD_TRY_ASSIGN(versions.most, versionAt(nccl, "most"));
  if (versions.most < versions.least) {
    return nccl.child("most").complainAllowed("from " + versions.least.text());
  }
  fabric.nccl = versions;
  return fabric;
}

Result<Setting> readEnvironment(const Field& field) {
  if (!field.isMap()) return field.complainAllowed("a map of knobs to values");
  Setting environment;
  for (const std::string& name : field.keys()) {
    const Field entry = field.child(name);
    if (!isEnvironmentKnob(name)) return entry.complain("is no knob that may be set");
    if (environment.value(name) != kDefault) return entry.complain("is given twice");
    RAILHEAD_TRY_ASSIGN(const std::string value, entry.text(kPlainValueAllowed, 128));
    if (!isPlainValue(value) || value == kDefault) return entry.complainAllowed(kPlainValueAllowed);
    const auto allowed = environmentValues(name);
    if (!allowed.empty() && std::find(allowed.begin(), allowed.end(), value) == allowed.end()) {
      return entry.complainAllowed(join(allowed, ", "));
    }
    environment.set(name, value);
  }
  return environment;
}

Result<std::vector<TableRow>> readTable(const Field& field) {
  RAILHEAD_TRY_ASSIGN(const auto entries, field.list(0, kMaxProfileRows));
  std::vector<TableRow> rows;
  for (const Field& entry : entries) {
    RAILHEAD_TRY_ASSIGN(const std::string text, entry.text("a row of the table"));
    auto row = parseRow(text);
    if (!row.has_value()) return entry.complain("does not hold: " + row.error().message);
    rows.push_back(std::move(*row));
  }
  if (auto held = checkRows(rows); !held.has_value()) {
    return field.complain("does not hold: " + held.error().message);
  }
  return rows;
}

Result<Gain> gainOfField(const Field& map) {
  RAILHEAD_TRY_ASSIGN(const Field field, map.required("gain", "a gain"));
  RAILHEAD_TRY(field.checkKeys({"pairs", "log", "low95", "high95"}));
  Gain gain;
  RAILHEAD_TRY_ASSIGN(gain.pairs, numberAt(field, "pairs", 0, kMaxRecords));
  RAILHEAD_TRY_ASSIGN(gain.mean, decimalAt(field, "log"));
  RAILHEAD_TRY_ASSIGN(gain.low95, decimalAt(field, "low95"));
  RAILHEAD_TRY_ASSIGN(gain.high95, decimalAt(field, "high95"));
  return gain;
}

Result<ProfileSize> readSize(const Field& field) {
  RAILHEAD_TRY(field.checkKeys(
      {"operation", "bytes", "overlapped", "setting", "defaultSeconds", "tunedSeconds", "gain"}));
  ProfileSize out;
  RAILHEAD_TRY_ASSIGN(const Field operation, field.required("operation", "a collective"));
  RAILHEAD_TRY_ASSIGN(out.size.operation, operation.word(32, "_"));
  RAILHEAD_TRY_ASSIGN(out.size.bytes, numberAt(field, "bytes", 0, kAnyNumber));
  RAILHEAD_TRY_ASSIGN(const Field overlapped, field.required("overlapped", "true, false"));
  RAILHEAD_TRY_ASSIGN(out.size.overlapped, overlapped.flag());
  RAILHEAD_TRY_ASSIGN(const Field setting, field.required("setting", "a setting"));
  RAILHEAD_TRY_ASSIGN(const std::string text, setting.text("a setting", Setting::kMaxText));
  auto parsed = Setting::parse(text);
  if (!parsed.has_value()) return setting.complain("does not hold: " + parsed.error().message);
  out.setting = std::move(*parsed);
  RAILHEAD_TRY_ASSIGN(out.result.defaultSeconds, decimalAt(field, "defaultSeconds"));
  RAILHEAD_TRY_ASSIGN(out.result.tunedSeconds, decimalAt(field, "tunedSeconds"));
  RAILHEAD_TRY_ASSIGN(out.result.gain, gainOfField(field));
  return out;
}

Result<void> readSearch(const Field& field, Profile& profile) {
  RAILHEAD_TRY(field.checkKeys({"seed", "trials", "seconds"}));
  RAILHEAD_TRY_ASSIGN(profile.seed, numberAt(field, "seed", 0, kAnyNumber));
  RAILHEAD_TRY_ASSIGN(profile.trials, numberAt(field, "trials", 0, kAnyNumber));
  RAILHEAD_TRY_ASSIGN(profile.seconds, decimalAt(field, "seconds"));
  return {};
}

Result<Profile> readProfile(const Field& root) {
  Profile profile;
  RAILHEAD_TRY_ASSIGN(const Field fabric, root.required("fabric", "a map"));
  RAILHEAD_TRY_ASSIGN(profile.fabric, readFabric(fabric));
  RAILHEAD_TRY_ASSIGN(const Field environment, root.required("environment", "a map, maybe empty"));
  RAILHEAD_TRY_ASSIGN(profile.environment, readEnvironment(environment));
  RAILHEAD_TRY_ASSIGN(const Field table, root.required("table", "a list, maybe empty"));
  RAILHEAD_TRY_ASSIGN(profile.table, readTable(table));
  RAILHEAD_TRY_ASSIGN(const Field objective, root.required("objective", "an objective"));
  RAILHEAD_TRY_ASSIGN(const std::string name, objective.text("an objective"));
  const auto kind = parseObjective(name);
  if (!kind.has_value()) {
    return objective.complainAllowed("bandwidth, latency, histogram, overlapped");
  }
  profile.objective = *kind;
  RAILHEAD_TRY_ASSIGN(profile.gain, gainOfField(root));
  RAILHEAD_TRY_ASSIGN(const Field search, root.required("search", "a map"));
  RAILHEAD_TRY(readSearch(search, profile));
  RAILHEAD_TRY_ASSIGN(const Field sizes, root.required("sizes", "a list, maybe empty"));
  RAILHEAD_TRY_ASSIGN(const auto entries, sizes.list(0, kMaxSizes));
  for (const Field& entry : entries) {
    RAILHEAD_TRY_ASSIGN(ProfileSize size, readSize(entry));
    profile.sizes.push_back(std::move(size));
  }
  return profile;
}

}  // namespace

Result<Profile> parseProfile(std::string_view text, const std::string& source) {
  RAILHEAD_TRY_ASSIGN(const Field root, Field::parse(text, source));
  RAILHEAD_TRY_ASSIGN(const Field version, root.required("schemaVersion", "1"));
  RAILHEAD_TRY(version.number(1, 1));
  RAILHEAD_TRY(root.checkKeys({"schemaVersion", "fabric", "environment", "table", "objective",
                               "gain", "search", "sizes", "hash"}));
  RAILHEAD_TRY_ASSIGN(Profile profile, readProfile(root));
  RAILHEAD_TRY(checkProfile(profile).addContext(source));
  RAILHEAD_TRY_ASSIGN(const Field hash, root.required("hash", "a SHA-256"));
  RAILHEAD_TRY_ASSIGN(const std::string written, hash.text("a SHA-256", 64));
  if (written != profileHash(profile)) {
    Error error =
        hash.complain("is " + inQuotes(written) + ", and the content's is " + profileHash(profile));
    error.code = ErrorCode::kCorrupt;
    return std::move(error).withRemedy(
        "a profile is not edited by hand: tune again, or fetch it anew");
  }
  return profile;
}

}  // namespace railhead::tune
