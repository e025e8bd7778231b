// The checkpoints in a folder: which are whole (docs/reference/trainer-contract.md). A checkpoint
// is a folder `step-00000123` with files and a `checkpoint.json` that lists them with their
// digests. What has no valid checkpoint.json, a file of another size or another digest is not
// complete. Knows nothing of what the files hold. Reads only; thread-safe.
#pragma once

#include "src/base/result.h"
#include "src/checkpoint/record.h"
#include "src/os/filesystem.h"

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace railhead::checkpoint {

enum class Depth {
  kSizes,    // files are there and have their size
  kDigests,  // and their digest: reads all of them
};

// The checkpoint in that folder. kNotFound: there is none; kCorrupt: it is not complete, and why;
// another: it cannot be read now, which says nothing of it.
Result<Checkpoint> readCheckpoint(os::Filesystem& files, const std::string& folder, Depth depth);

// Of the folders that have a checkpoint's name, complete or not, ascending; none where the folder
// is missing.
Result<std::vector<std::uint64_t>> checkpointSteps(os::Filesystem& files,
                                                   const std::string& folder);

struct FoundCheckpoints {
  std::vector<std::uint64_t> complete;  // steps, ascending
  std::vector<std::string> notes;       // a line for each that is not: "step-00000012: ..."
};

// Those below `folder`, judged by their sizes; none where the folder is missing.
Result<FoundCheckpoints> findCheckpoints(os::Filesystem& files, const std::string& folder);

struct NewestCheckpoint {
  std::optional<Checkpoint> checkpoint;  // none: there is no complete one
  std::string path;
  std::vector<std::string> notes;  // what was passed over, and why
};

// The newest whose files all have their digests, of those up to step `most`.
Result<NewestCheckpoint> newestCheckpoint(
    os::Filesystem& files, const std::string& folder,
    std::uint64_t most = std::numeric_limits<std::uint64_t>::max());

}  // namespace railhead::checkpoint
