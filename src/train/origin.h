// Where a start goes on from.
#pragma once

#include "src/base/result.h"
#include "src/os/filesystem.h"
#include "src/train/metrics.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace railhead::train {

struct Origin {
  std::optional<std::uint64_t> step;  // absent: from the beginning
  std::string path;                   // the checkpoint's folder, as the ranks see it
  std::vector<std::string> notes;     // what was passed over or set aside, and why
};

// The newest checkpoint of that folder that is whole. What was never finished is removed, what is
// in the way of later ones is set aside. kCorrupt: there are some and none is whole; nothing was
// changed then.
Result<Origin> originIn(os::Filesystem& files, const std::string& folder);

// The newest that rank 0 has told of, where this process cannot read the folder.
Origin originTold(const StepSeries& rank0);

}  // namespace railhead::train
