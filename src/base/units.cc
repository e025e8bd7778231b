#include "src/base/units.h"

#include "src/base/text.h"

#include <array>
#include <cstdio>

namespace railhead {
namespace {

std::string threeDigits(double value) {
  char text[32];
  const int decimals = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  std::snprintf(text, sizeof text, "%.*f", decimals, value);
  std::string out(text);
  if (out.find('.') != std::string::npos) {
    while (out.back() == '0') out.pop_back();
    if (out.back() == '.') out.pop_back();
  }
  return out;
}

struct Scale {
  std::string_view prefix;
  double factor;
};
constexpr std::array<Scale, 5> kDecimal{{{"T", 1e12}, {"G", 1e9}, {"M", 1e6}, {"k", 1e3}, {"", 1}}};

}  // namespace

Result<BitRate> BitRate::parse(std::string_view text) {
  const Error bad(
      ErrorCode::kInvalidArgument,
      "bit rate " + inQuotes(text) + ": expected a number with kbit, Mbit or Gbit, like 200Gbit");
  const std::string_view whole = trim(text);
  const auto unitAt = whole.find_first_not_of("0123456789.");
  const auto number = parseDouble(whole.substr(0, unitAt));
  if (!number || *number < 0 || unitAt == std::string_view::npos) return bad;
  std::string unit = toLower(trim(whole.substr(unitAt)));
  for (const std::string_view suffix : {"bit/s", "b/s", "bps", "bit"}) {
    if (!unit.ends_with(suffix)) continue;
    const std::string prefix = unit.substr(0, unit.size() - suffix.size());
    for (const auto& scale : kDecimal) {
      if (prefix == toLower(scale.prefix)) return BitRate{*number * scale.factor};
    }
  }
  return bad;
}

std::string BitRate::toString() const {
  for (const auto& scale : kDecimal) {
    if (bitsPerSecond >= scale.factor) {
      return threeDigits(bitsPerSecond / scale.factor) + " " + std::string(scale.prefix) + "b/s";
    }
  }
  return "0 b/s";
}

std::string formatBytes(std::uint64_t bytes) {
  constexpr std::array<std::string_view, 5> kUnits{"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return threeDigits(value) + " " + std::string(kUnits[unit]);
}

std::string formatNumber(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.10g", value);
  return text;
}

std::string formatSeconds(double seconds) {
  if (seconds >= 1 || seconds <= 0) return threeDigits(seconds < 0 ? 0 : seconds) + " s";
  if (seconds >= 1e-3) return threeDigits(seconds * 1e3) + " ms";
  if (seconds >= 1e-6) return threeDigits(seconds * 1e6) + " µs";
  return threeDigits(seconds * 1e9) + " ns";
}

}  // namespace railhead
