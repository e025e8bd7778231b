#include "src/base/pci_address.h"

#include "src/base/text.h"

#include <cstdio>

namespace railhead {

Result<PciAddress> PciAddress::parse(std::string_view text) {
  const Error bad(
      ErrorCode::kInvalidArgument,
      "PCI address " + inQuotes(text) + ": expected domain:bus:device.function, like 0000:01:00.0");
  auto parts = split(text, ':');
  if (parts.size() == 2) parts.insert(parts.begin(), "0000");
  if (parts.size() != 3) return bad;
  const auto dot = split(parts[2], '.');
  if (dot.size() != 2) return bad;
  const auto valid = [](std::string_view part, std::size_t digits) {
    return part.size() <= digits && !part.starts_with("0x") && !part.starts_with("0X");
  };
  if (!valid(parts[0], 8) || !valid(parts[1], 2) || !valid(dot[0], 2) || !valid(dot[1], 1))
    return bad;
  const auto domain = parseHex(parts[0]);
  const auto bus = parseHex(parts[1]);
  const auto device = parseHex(dot[0]);
  const auto function = parseHex(dot[1]);
  if (!domain || !bus || !device || !function || *device > 31 || *function > 7) return bad;
  return PciAddress{static_cast<std::uint32_t>(*domain), static_cast<std::uint8_t>(*bus),
                    static_cast<std::uint8_t>(*device), static_cast<std::uint8_t>(*function)};
}

std::string PciAddress::toString() const {
  char text[24];
  std::snprintf(text, sizeof text, "%04x:%02x:%02x.%x", domain, bus, device, function);
  return text;
}

}  // namespace railhead
