// What this machine is and stands on, for the manifest. What cannot be read stays empty: a run is
// worth more than its label. The first question to a GPU driver may take seconds.
#pragma once

#include "src/base/result.h"
#include "src/os/filesystem.h"
#include "src/os/host_paths.h"
#include "src/train/manifest.h"

#include <optional>
#include <string>
#include <string_view>

namespace railhead::train {

NodeFacts nodeFacts(os::Filesystem& files, const os::HostPaths& paths, const std::string& node);

// As one line that a rank's guard writes for whoever started it, and back; nullopt: it is none.
// At most 4 KiB: of long lists the end is left out.
std::string factsLine(const NodeFacts& facts);
std::optional<NodeFacts> parseFactsLine(std::string_view line);

}  // namespace railhead::train
