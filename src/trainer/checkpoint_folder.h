// The contract of checkpoints on disk (docs/reference/trainer-contract.md): a checkpoint is a
// folder `step-00000123` with files and a `checkpoint.json` that lists them with their digests. It
// is written as `.step-00000123.part`, every file and the folder on the disk, and renamed when all
// ranks are done: it is complete or not there. What has no valid checkpoint.json, a file of another
// size or another digest is not complete, and is ignored.
//
// Knows nothing of what the files hold. What is read is untrusted and bounded. Thread-safe.
#pragma once

#include "src/base/result.h"
#include "src/os/filesystem.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::trainer {

struct CheckpointFile {
  std::string name;
  std::uint64_t bytes = 0;
  std::string sha256;

  bool operator==(const CheckpointFile&) const = default;
};

struct CheckpointRecord {
  std::uint64_t step = 0;
  std::uint64_t world = 1;  // ranks that wrote it
  std::vector<CheckpointFile> files;
  std::map<std::string, std::uint64_t> model;  // its shape, field by field
  // What else a resumed run must share to go on as if nothing had been: seed, digest of the data.
  std::map<std::string, std::string> run;

  bool operator==(const CheckpointRecord&) const = default;
};

inline constexpr const char* kCheckpointFile = "checkpoint.json";
inline constexpr std::size_t kMaxCheckpointRecord = 4 << 20;  // bytes
inline constexpr std::size_t kMaxCheckpointFiles = 10'000;

std::string encode(const CheckpointRecord& record);
// kCorrupt names the field.
Result<CheckpointRecord> decodeCheckpointRecord(std::string_view text);

std::string checkpointName(std::uint64_t step);  // "step-00000123"
std::string unfinishedName(std::uint64_t step);  // ".step-00000123.part"
std::optional<std::uint64_t> stepOfCheckpoint(std::string_view name);

// Whether it is complete, every byte of it: kCorrupt or kNotFound says what is not.
Result<CheckpointRecord> readCheckpoint(os::Filesystem& files, const std::string& path);

struct FoundCheckpoint {
  std::string path;
  CheckpointRecord record;
};
// The newest complete one in `folder`, if any; a folder that is not there has none. `notes`: what
// was ignored, and why.
Result<std::optional<FoundCheckpoint>> latestCheckpoint(os::Filesystem& files,
                                                        const std::string& folder,
                                                        std::vector<std::string>& notes);

// What rank 0 does before and after all ranks have written their files.
// An empty folder for them; what an interrupted attempt left is removed.
Result<std::string> beginCheckpoint(os::Filesystem& files, const std::string& folder,
                                    std::uint64_t step);
// Writes the record and gives the folder its name; a checkpoint of the same step is replaced.
// Returns its path.
Result<std::string> finishCheckpoint(os::Filesystem& files, const std::string& folder,
                                     const CheckpointRecord& record);
// After the checkpoint of `step` was written: removes those before it but the newest `keep` - 1,
// and what was never finished; keep 0 removes none. Those of later steps are of a branch that this
// run has left: they are renamed to `step-N.left-M`, so that nobody goes on from them unasked.
Result<void> pruneCheckpoints(os::Filesystem& files, const std::string& folder, std::uint64_t step,
                              std::size_t keep);

}  // namespace railhead::trainer
