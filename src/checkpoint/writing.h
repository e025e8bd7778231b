// What changes a folder of checkpoints (docs/reference/trainer-contract.md). A checkpoint is
// written as `.step-00000123.part`, every file and the folder on the disk, and renamed when all
// ranks are done: it is complete or not there. Nothing here overwrites a file.
#pragma once

#include "src/base/result.h"
#include "src/checkpoint/record.h"
#include "src/os/filesystem.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace railhead::checkpoint {

// What rank 0 does before and after all ranks have written their files.
// An empty folder for them; what an interrupted attempt left is removed.
Result<std::string> beginCheckpoint(os::Filesystem& files, const std::string& folder,
                                    std::uint64_t step);
// Writes the record and gives the folder its name; a checkpoint of the same step is replaced.
// Returns its path.
Result<std::string> finishCheckpoint(os::Filesystem& files, const std::string& folder,
                                     const Checkpoint& checkpoint);
// After the checkpoint of `step` was written: removes those before it but the newest `keep` - 1,
// and what was never finished; keep 0 removes none. Those of later steps are of a branch that this
// run has left: they are renamed to `step-N.left-M`, so that nobody goes on from them unasked.
Result<void> pruneCheckpoints(os::Filesystem& files, const std::string& folder, std::uint64_t step,
                              std::size_t keep);

// Renames what has a checkpoint's name and is none by its sizes, and all behind `newest`, the step
// that a run goes on from: a new one can stand there, and nothing is lost. A line for each.
Result<std::vector<std::string>> setAside(os::Filesystem& files, const std::string& folder,
                                          std::uint64_t newest);

// Takes a checkpoint away under a name that nobody loads, then its files. Succeeds when it is gone.
Result<void> removeCheckpoint(os::Filesystem& files, const std::string& folder, std::uint64_t step);
// What was being written, or removed, when everything stopped. Only while no rank runs.
Result<void> removeUnfinished(os::Filesystem& files, const std::string& folder);

}  // namespace railhead::checkpoint
