#include "apps/usage/values.h"

#include "src/base/text.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <sstream>

#include <CLI/CLI.hpp>

namespace railhead::usage {
namespace {

constexpr std::size_t kDigits = 19;  // of a number that fits into 64 bits, whatever they are

}  // namespace

CLI::Validator realRange(double least, double most) {
  CLI::Validator range = CLI::Range(least, most);
  const auto check = [range, least, most](std::string& text) -> std::string {
    double value = 0;
    if (CLI::detail::lexical_cast(text, value) && std::isnan(value))
      return "Value " + text + " is no number";
    if (range(text).empty()) return {};
    std::ostringstream bounds;  // without the zeros that CLI11 has behind the point
    bounds << least << " to " << most;
    return "Value " + text + " not in range " + bounds.str();
  };
  return CLI::Validator(check, range.get_description());
}

CLI::Validator sizeValue() {
  CLI::Validator size = CLI::AsSizeValue(false);
  const auto change = [size](std::string& text) -> std::string {
    const auto isDigit = [](unsigned char c) { return c >= '0' && c <= '9'; };
    const auto digits = std::find_if_not(text.begin(), text.end(), isDigit) - text.begin();
    if (digits == 0 || static_cast<std::size_t>(digits) > kDigits)
      return "Value " + text + " is no size like 4096, 4KiB or 2GiB";
    try {
      return size(text);
    } catch (const CLI::ValidationError& tooMuch) {
      return tooMuch.what();
    }
  };
  return CLI::Validator(change, size.get_description());
}

Result<std::string> absolutePath(const std::string& path) {
  std::error_code failed;
  const auto whole = std::filesystem::absolute(path, failed);
  if (!failed) {
    auto out = whole.lexically_normal().string();
    if (out.size() > 1 && out.ends_with('/')) out.pop_back();
    return out;
  }
  return Error(ErrorCode::kNotFound,
               inQuotes(path) + " begins in the working folder: " + failed.message(),
               "change to a folder that is there, or give a path from / on");
}

}  // namespace railhead::usage
