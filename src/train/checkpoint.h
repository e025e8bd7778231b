// The checkpoints of a run: which are whole, and what is in them
// (docs/reference/trainer-contract.md). Reads only, but for what is named so.
#pragma once

#include "src/base/result.h"
#include "src/os/filesystem.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::train {

inline constexpr const char* kCheckpointManifest = "checkpoint.json";

struct CheckpointFile {
  std::string name;
  std::uint64_t bytes = 0;
  std::string sha256;

  bool operator==(const CheckpointFile&) const = default;
};

struct Checkpoint {
  std::uint64_t step = 0;
  std::uint64_t world = 0;
  std::vector<CheckpointFile> files;
  std::map<std::string, std::string> model;  // its shape, each value as JSON text
  std::string sha256;   // of checkpoint.json, and so of all that is in it; empty: not known
  std::string content;  // digest of the files' names, sizes and digests: stands for them

  bool operator==(const Checkpoint&) const = default;
};

// "step-00000123" and back; nullopt: it is no such name.
std::string checkpointName(std::uint64_t step);
std::optional<std::uint64_t> checkpointStep(std::string_view name);

// checkpoint.json as it is written, for trainers of ours and for tests.
std::string writeCheckpoint(const Checkpoint& checkpoint);
// kCorrupt names `where` and the field. Names of files that leave the folder are refused.
Result<Checkpoint> parseCheckpoint(std::string_view text, const std::string& where);

enum class Depth {
  kSizes,    // files are there and have their size
  kDigests,  // and their digest: reads all of them
};

// The checkpoint in that folder. kNotFound: there is none; kCorrupt: it is not complete, and why.
Result<Checkpoint> readCheckpoint(os::Filesystem& files, const std::string& folder, Depth depth);

// Of the folders that have a checkpoint's name, complete or not, ascending.
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

// The newest whose files all have their digests.
Result<NewestCheckpoint> newestCheckpoint(os::Filesystem& files, const std::string& folder);

// Renames what has a checkpoint's name and is none by its sizes, and all behind `newest`, the step
// that a run goes on from: a new one can stand there, and nothing is lost. A line for each.
Result<std::vector<std::string>> setAside(os::Filesystem& files, const std::string& folder,
                                          std::uint64_t newest);

// Takes a checkpoint away under a name that nobody loads, then its files. Succeeds when it is gone.
Result<void> removeCheckpoint(os::Filesystem& files, const std::string& folder, std::uint64_t step);
// What was being written, or removed, when everything stopped. Only while no rank runs.
Result<void> removeUnfinished(os::Filesystem& files, const std::string& folder);

}  // namespace railhead::train
