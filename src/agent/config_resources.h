// The `resources` of the agent's configuration, and the resourceList of sriov-network-device-plugin
// that is accepted in its place.
#pragma once

#include "src/advertise/resource.h"
#include "src/config/field.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace railhead::agent {

inline constexpr std::size_t kMaxResources = 16;
inline constexpr std::size_t kMaxSelectorValues = 64;

// "domain/name" of an extended resource.
Result<std::string> readResourceName(const config::Field& field);

// "0x15b3" or "15b3": PCI ids are hexadecimal with and without the prefix, as lspci prints them.
Result<std::uint16_t> readPciId(const config::Field& field);

Result<std::vector<advertise::RailResourceConfig>> readResources(const config::Field& field);

// `field`: the list under "resourceList". Devices are single rails, ids the VFs' addresses, as that
// plugin has them. What we cannot serve (deviceType accelerator, needVhostNet, DDP profiles, ...)
// is refused by name.
Result<std::vector<advertise::RailResourceConfig>> readResourceList(const config::Field& field);

}  // namespace railhead::agent
