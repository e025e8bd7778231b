#include "lab/guest/guest_config.h"

#include "src/base/text.h"

#include <algorithm>

namespace railhead::lab {

namespace {

constexpr std::size_t kMaxNodeName = 63;
constexpr std::size_t kMaxInterfaceName = 15;  // IFNAMSIZ without its NUL

bool isLowerOrDigit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

bool isNodeName(std::string_view name) {
  return !name.empty() && name.size() <= kMaxNodeName && name.front() != '-' &&
         name.back() != '-' && std::all_of(name.begin(), name.end(), [](char c) {
           return isLowerOrDigit(c) || c == '-';
         });
}

bool isInterfaceName(std::string_view name) {
  return !name.empty() && name.size() <= kMaxInterfaceName && name != "." && name != ".." &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return c > ' ' && c < 0x7f && c != '/' && c != ':'; });
}

// Nothing that a path could climb out by.
bool isShareFolder(std::string_view path) {
  constexpr std::string_view kBelow = "/run/";
  constexpr std::size_t kMaxName = 32;
  if (!path.starts_with(kBelow)) return false;
  const std::string_view name = path.substr(kBelow.size());
  return !name.empty() && name.size() <= kMaxName &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return (c >= 'a' && c <= 'z') || c == '-'; });
}

Error wrong(std::string_view key, std::string_view value, std::string_view allowed) {
  return Error(ErrorCode::kInvalidArgument, "kernel command line: " + std::string(key) + "=" +
                                                inQuotes(value) + "; allowed is " +
                                                std::string(allowed));
}

Result<void> parseInterfaces(std::string_view value, GuestConfig& config) {
  for (std::string_view entry : split(value, ',')) {
    const std::size_t equals = entry.find('=');
    if (equals == std::string_view::npos) {
      return wrong("railhead.pf", entry, "PCI=NAME, such as 0000:01:00.0=enp1s0f0np0");
    }
    auto address = PciAddress::parse(entry.substr(0, equals));
    if (!address.has_value()) {
      return wrong("railhead.pf", entry, "a PCI address in front of '=', such as 0000:01:00.0");
    }
    const std::string_view name = entry.substr(equals + 1);
    if (!isInterfaceName(name)) {
      return wrong("railhead.pf", entry, "an interface name of 1 to 15 bytes without '/' and ':'");
    }
    for (const auto& [other, otherName] : config.interfaces) {
      if (otherName == name || other == *address) {
        return wrong("railhead.pf", entry, "each PCI address and each name once");
      }
    }
    config.interfaces.emplace(*address, name);
  }
  return {};
}

}  // namespace

Result<GuestConfig> GuestConfig::parse(std::string_view commandLine) {
  GuestConfig config;
  for (std::string_view word : split(trim(commandLine), ' ')) {
    const std::size_t equals = word.find('=');
    const std::string_view key = word.substr(0, equals);
    const std::string_view value =
        equals == std::string_view::npos ? std::string_view() : word.substr(equals + 1);
    if (key == "railhead.node") {
      if (!isNodeName(value)) return wrong(key, value, "1 to 63 of a-z, 0-9 and '-' inside");
      config.node = value;
    } else if (key == "railhead.pf") {
      RAILHEAD_TRY(parseInterfaces(value, config));
    } else if (key == "railhead.share") {
      if (!isShareFolder(value)) return wrong(key, value, "/run/ and 1 to 32 of a-z and '-'");
      config.share = value;
    } else if (key.starts_with("railhead.")) {
      return wrong(key, value, "railhead.node, railhead.pf and railhead.share only");
    }
  }
  return config;
}

}  // namespace railhead::lab
