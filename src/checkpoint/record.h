// checkpoint.json, and the names of checkpoints (docs/reference/trainer-contract.md). What is read
// is untrusted and bounded. Value types; pure functions.
#pragma once

#include "src/base/result.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::checkpoint {

inline constexpr const char* kCheckpointFile = "checkpoint.json";
inline constexpr std::size_t kMaxRecord = 16 << 20;  // bytes

struct CheckpointFile {
  std::string name;
  std::uint64_t bytes = 0;
  std::string sha256;

  bool operator==(const CheckpointFile&) const = default;
};

struct Checkpoint {
  std::uint64_t step = 0;
  std::uint64_t world = 0;  // ranks that wrote it
  std::vector<CheckpointFile> files;
  std::map<std::string, std::string> model;  // its shape, each value as JSON text
  // What else a resumed run must share to go on as if nothing had been: seed, digest of the data.
  std::map<std::string, std::string> run;
  std::string sha256;   // of checkpoint.json, and so of all that is in it; empty: not known
  std::string content;  // digest of the files' names, sizes and digests: stands for them

  bool operator==(const Checkpoint&) const = default;
};

// "step-00000123" and back; nullopt: it is no such name.
std::string checkpointName(std::uint64_t step);
std::optional<std::uint64_t> checkpointStep(std::string_view name);
std::string unfinishedName(std::uint64_t step);  // ".step-00000123.part"
// What is being taken away, ".step-00000123.gone".
std::string goneName(std::uint64_t step);
// Of either form: nobody loads it.
bool isUnfinished(std::string_view name);

std::string writeCheckpoint(const Checkpoint& checkpoint);
// kCorrupt names `where` and the field. Names of files that leave the folder are refused.
Result<Checkpoint> parseCheckpoint(std::string_view text, const std::string& where);

}  // namespace railhead::checkpoint
