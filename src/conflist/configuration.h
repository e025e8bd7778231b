// One file of the runtime's CNI folder, and the list that puts us behind the plugins of another.
// Pure functions; thread-safe. Source: CNI specification 1.1.0, section 1, and what containerd and
// CRI-O read: files ending in .conf, .conflist, .json, by name, the first one serves.
#pragma once

#include "src/base/result.h"

#include <string>
#include <string_view>
#include <vector>

namespace railhead::conflist {

inline constexpr std::string_view kOurType = "railhead";  // "type", and the program's name
inline constexpr std::size_t kMaxFile = 1 << 20;          // bytes
inline constexpr std::size_t kMaxPlugins = 32;            // in one list

// Whether the runtime looks at a file of this name, and whether it must hold a list.
bool isConfigurationName(std::string_view name);
bool isListName(std::string_view name);

struct Configuration {
  std::string network;               // "name"
  std::string version;               // "cniVersion"
  std::vector<std::string> plugins;  // their types, in order
  bool givesAnnotations = false;     // our plugin in it gets the pod's annotations

  bool has(std::string_view type) const;
  // Multus as a plugin or by its shim: it delegates, so nothing can be chained behind it.
  bool isMultus() const;
};

// kInvalidArgument names the field, its value and what is allowed.
Result<Configuration> readConfiguration(std::string_view text, bool list);

// Whether a value of the configuration is the file `name`, or a path that ends in it: Multus has
// its cluster network so (clusterNetwork). False for text that is no JSON.
bool namesFile(std::string_view text, std::string_view name);

// What is put behind the primary's plugins.
struct Chained {
  std::string socket;  // the agent's; empty: where the shim looks by itself
};

// The primary's configuration as a list with `ours` at its end: its name, its other keys and its
// plugins stay as they are. A version that we do not speak is raised to the oldest or lowered to
// the newest one that we do.
Result<std::string> chainBehind(std::string_view primary, bool list, const Chained& ours);

}  // namespace railhead::conflist
