#include "src/tune/export.h"

#include "src/base/text.h"
#include "src/tune/table.h"

#include <algorithm>

namespace railhead::tune {
namespace {

bool isKubernetesName(std::string_view name, std::string_view extra, std::size_t most) {
  const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return !name.empty() && name.size() <= most && plain(name.front()) && plain(name.back()) &&
         std::all_of(name.begin(), name.end(),
                     [&](char c) { return plain(c) || extra.find(c) != std::string_view::npos; });
}

// A literal block of YAML, two levels in.
std::string block(std::string_view key, std::string_view text) {
  std::string out = "  " + std::string(key) + ": |\n";
  for (const std::string_view line : split(text.substr(0, text.size() - 1), '\n')) {
    out += "    ";
    out += line;
    out += '\n';
  }
  return out;
}

bool isNccls(std::string_view name) { return name.starts_with("NCCL_"); }

// The comments that each form begins with.
std::string head(const Profile& profile) {
  std::string out = "# railhead profile " + profileHash(profile) + "\n";
  for (const auto& [name, value] : profile.environment.values()) {
    if (isNccls(name)) continue;
    out += "# left out, of the host backend: ";
    out += name;
    out += '=';
    out += value;
    out += '\n';
  }
  return out;
}

}  // namespace

std::string ncclConf(const Profile& profile) {
  std::string out = head(profile);
  for (const auto& [name, value] : profile.environment.values()) {
    if (!isNccls(name)) continue;
    out += name;
    out += '=';
    out += value;
    out += '\n';
  }
  return out;
}

// Values have no quote in them (profile_text.h).
std::string shellEnvironment(const Profile& profile) {
  std::string out = head(profile);
  for (const auto& [name, value] : profile.environment.values()) {
    if (!isNccls(name)) continue;
    out += "export ";
    out += name;
    out += "='";
    out += value;
    out += "'\n";
  }
  return out;
}

Result<std::string> tunerTable(const Profile& profile) {
  return writeTable({profileHash(profile), profile.table});
}

Result<std::string> configMap(const Profile& profile, std::string_view name,
                              std::string_view space) {
  if (!isKubernetesName(name, "-.", 253)) {
    return Error(ErrorCode::kInvalidArgument,
                 "ConfigMap's name is " + inQuotes(name) +
                     "; allowed: 1 to 253 lower-case letters, digits, - and . within");
  }
  if (!space.empty() && !isKubernetesName(space, "-", 63)) {
    return Error(ErrorCode::kInvalidArgument,
                 "namespace is " + inQuotes(space) +
                     "; allowed: 1 to 63 lower-case letters, digits and - within");
  }
  RAILHEAD_TRY_ASSIGN(const std::string yaml, writeProfile(profile));
  RAILHEAD_TRY_ASSIGN(const std::string table, tunerTable(profile));
  std::string out =
      "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: \"" + std::string(name) + "\"\n";
  if (!space.empty()) out += "  namespace: \"" + std::string(space) + "\"\n";
  return out + "data:\n" + block("profile.yaml", yaml) + block("nccl.conf", ncclConf(profile)) +
         block("nccl-tuner.table", table);
}

}  // namespace railhead::tune
