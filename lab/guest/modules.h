// Loads kernel modules in the order that the image build worked out.
#pragma once

#include "src/base/result.h"

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::lab {

struct ModuleEntry {
  std::string path;        // relative to the list's own folder
  std::string parameters;  // as modprobe would pass them; may be empty
  bool operator==(const ModuleEntry&) const = default;
};

// One module a line: a path, then its parameters. kCorrupt on a path that leaves the folder.
Result<std::vector<ModuleEntry>> parseModuleList(std::string_view text);

// Loads every module of `folder`/`listName`; one that is loaded already is no failure. The first
// failure ends it and names the module.
Result<void> loadModules(const std::string& folder, const std::string& listName);

}  // namespace railhead::lab
