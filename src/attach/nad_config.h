// From the text of a NetworkAttachmentDefinition to a Network. Pure functions; thread-safe. The
// text is anybody's who may write NADs: names, sizes and versions are checked.
#pragma once

#include "src/attach/nad.h"
#include "src/attach/networks.h"
#include "src/base/result.h"

#include <string_view>

namespace railhead::attach {

inline constexpr std::size_t kMaxNadConfig = 64 << 10;  // bytes
inline constexpr std::size_t kMaxPlugins = 16;          // in one list

// `config`: spec.config, or the file that stands for an empty one; a plugin or a list of plugins.
// Types "railhead" and "sriov" make rails; behind them, type "rdma" asks for the VF's RDMA device
// and every other plugin is chained. kInvalidArgument names the key, its value and what is allowed.
Result<Network> networkFrom(const Nad& nad, std::string_view config);

// The "name" of a configuration file; empty when it has none or is no configuration.
std::string configurationName(std::string_view config);

}  // namespace railhead::attach
