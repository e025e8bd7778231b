// Training state in a checkpoint: one safetensors file of each rank, with its part of the flat
// space (shape.h) in float32. A tensor is a run of it: "parameter.4096", "first_moment.4096",
// "second_moment.4096", where 4096 is the element at which it begins. So any number of ranks reads
// what any other number wrote.
#pragma once

#include "src/base/result.h"
#include "src/checkpoint/record.h"
#include "src/os/filesystem.h"
#include "src/trainer/engine.h"

#include <string>
#include <vector>

namespace railhead::trainer {

std::string stateFileName(int rank, int ranks);  // "rank-00000-of-00002.safetensors"

// Writes rank `rank`'s part into `folder`; on the disk when it returns.
Result<checkpoint::CheckpointFile> writeState(Engine& engine, int rank, const std::string& folder);
// Fills all that the engine keeps, and its weights, from the files of the checkpoint at `path`.
// kCorrupt: elements that no file has.
Result<void> readState(Engine& engine, const std::string& path,
                       const std::vector<checkpoint::CheckpointFile>& files);

}  // namespace railhead::trainer
