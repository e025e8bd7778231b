#include "src/tune/profile_text.h"

#include "src/base/text.h"
#include "src/tune/space.h"
#include "src/tune/trial.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace railhead::tune {
namespace {

bool isMadeOf(std::string_view text, std::string_view extra) {
  constexpr std::size_t kMost = 128;
  return !text.empty() && text.size() <= kMost &&
         std::all_of(text.begin(), text.end(), [&](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  extra.find(c) != std::string_view::npos;
         });
}

std::string quoted(std::string_view text) { return '"' + std::string(text) + '"'; }

std::string listText(const std::vector<std::string>& texts) {
  std::string out;
  for (const std::string& text : texts) out += (out.empty() ? "" : ", ") + quoted(text);
  return "[" + out + "]";
}

std::string gainText(const Gain& gain) {
  return "{pairs: " + std::to_string(gain.pairs) + ", log: " + numberText(gain.mean) +
         ", low95: " + numberText(gain.low95) + ", high95: " + numberText(gain.high95) + "}";
}

std::string sizeText(const ProfileSize& one) {
  const auto line = [](std::string_view key, const std::string& value) {
    return "    " + std::string(key) + ": " + value + "\n";
  };
  return "  - operation: " + one.size.operation + "\n" +
         line("bytes", std::to_string(one.size.bytes)) +
         line("overlapped", one.size.overlapped ? "true" : "false") +
         line("setting", quoted(one.setting.text())) +
         line("defaultSeconds", numberText(one.result.defaultSeconds)) +
         line("tunedSeconds", numberText(one.result.tunedSeconds)) +
         line("gain", gainText(one.result.gain));
}

Error unwritable(const std::string& what, std::string_view value, std::string_view allowed) {
  return {ErrorCode::kInvalidArgument,
          "profile: " + what + " is " + inQuotes(value) + "; allowed: " + std::string(allowed)};
}

Result<void> checkNumbers(const std::string& what, std::initializer_list<double> values) {
  for (const double value : values) {
    if (!std::isfinite(value)) return unwritable(what, std::to_string(value), "a finite number");
  }
  return {};
}

Result<void> checkFabric(const Fingerprint& fabric) {
  for (const auto* texts : {&fabric.gpus, &fabric.nics, &fabric.links}) {
    if (texts->size() > kMaxFingerprintTexts) {
      return unwritable("a list of the fabric", std::to_string(texts->size()) + " entries",
                        "at most " + std::to_string(kMaxFingerprintTexts));
    }
    for (const std::string& text : *texts) {
      if (!isPlainText(text)) return unwritable("a text of the fabric", text, kPlainTextAllowed);
    }
  }
  if (fabric.nodes < 1 || fabric.ranks < fabric.nodes || fabric.ranks > kMaxTableRanks) {
    return unwritable("ranks", std::to_string(fabric.ranks),
                      "from nodes (" + std::to_string(fabric.nodes) + ", at least 1) to " +
                          std::to_string(kMaxTableRanks));
  }
  return {};
}

Result<void> checkSetting(const Setting& setting) {
  for (const auto& [name, value] : setting.values()) {
    if (!isPlainValue(name)) return unwritable("a knob's name", name, kPlainValueAllowed);
    if (!isPlainValue(value)) return unwritable(name, value, kPlainValueAllowed);
  }
  return {};
}

}  // namespace

bool isPlainText(std::string_view text) { return isMadeOf(text, " ._:/,()+-"); }
bool isPlainValue(std::string_view value) { return isMadeOf(value, "=^._:/,+-"); }

std::string numberText(double value) {
  std::array<char, 32> buffer{};
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value).ptr;
  return {buffer.data(), end};
}

std::string profileBody(const Profile& profile) {
  const Fingerprint& fabric = profile.fabric;
  std::string out = "schemaVersion: 1\nfabric:\n";
  out += "  gpus: " + listText(fabric.gpus) + "\n";
  out += "  nics: " + listText(fabric.nics) + "\n";
  out += "  links: " + listText(fabric.links) + "\n";
  out += "  mtu: " + std::to_string(fabric.mtu) + "\n";
  out += "  ranks: " + std::to_string(fabric.ranks) + "\n";
  out += "  nodes: " + std::to_string(fabric.nodes) + "\n";
  if (fabric.nccl.has_value()) {
    out += "  nccl: {least: " + quoted(fabric.nccl->least.text()) +
           ", most: " + quoted(fabric.nccl->most.text()) + "}\n";
  }
  out += profile.environment.isDefault() ? "environment: {}\n" : "environment:\n";
  for (const auto& [name, value] : profile.environment.values()) {
    out += "  " + name + ": " + quoted(value) + "\n";
  }
  out += profile.table.empty() ? "table: []\n" : "table:\n";
  for (const TableRow& row : profile.table) out += "  - " + quoted(rowText(row)) + "\n";
  out += "objective: " + std::string(objectiveName(profile.objective)) + "\n";
  out += "gain: " + gainText(profile.gain) + "\n";
  out += "search: {seed: " + std::to_string(profile.seed) +
         ", trials: " + std::to_string(profile.trials) +
         ", seconds: " + numberText(profile.seconds) + "}\n";
  out += profile.sizes.empty() ? "sizes: []\n" : "sizes:\n";
  for (const ProfileSize& one : profile.sizes) out += sizeText(one);
  return out;
}

Result<void> checkProfile(const Profile& profile) {
  RAILHEAD_TRY(checkFabric(profile.fabric));
  RAILHEAD_TRY(checkSetting(profile.environment));
  for (const auto& [name, value] : profile.environment.values()) {
    if (!isEnvironmentKnob(name)) return unwritable("environment", name, "names of knobs");
  }
  if (profile.table.size() > kMaxProfileRows) {
    return unwritable("table", std::to_string(profile.table.size()) + " rows",
                      "at most " + std::to_string(kMaxProfileRows));
  }
  RAILHEAD_TRY(checkRows(profile.table).addContext("profile: table"));
  if (profile.sizes.size() > kMaxSizes) {
    return unwritable("sizes", std::to_string(profile.sizes.size()) + " entries",
                      "at most " + std::to_string(kMaxSizes));
  }
  RAILHEAD_TRY(checkNumbers(
      "gain", {profile.gain.mean, profile.gain.low95, profile.gain.high95, profile.seconds}));
  for (const ProfileSize& one : profile.sizes) {
    if (!isPlainValue(one.size.operation)) {
      return unwritable("operation", one.size.operation, kPlainValueAllowed);
    }
    RAILHEAD_TRY(checkSetting(one.setting));
    const SizeResult& result = one.result;
    RAILHEAD_TRY(checkNumbers("a size", {result.defaultSeconds, result.tunedSeconds,
                                         result.gain.mean, result.gain.low95, result.gain.high95}));
  }
  return {};
}

}  // namespace railhead::tune
