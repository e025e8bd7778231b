#include "src/checkpoint/reading.h"

#include "src/checkpoint/file_digest.h"

#include <algorithm>

namespace railhead::checkpoint {
namespace {

Error notComplete(const std::string& folder, const std::string& why) {
  return Error(ErrorCode::kCorrupt, folder + " is no complete checkpoint: " + why);
}

// A file that is missing makes a checkpoint incomplete. One that cannot be read now says nothing of
// it: shared storage has such moments.
Error withoutFile(const std::string& folder, const Error& error) {
  if (error.code == ErrorCode::kNotFound) return notComplete(folder, error.message);
  Error out = error;
  if (out.code == ErrorCode::kCorrupt) out.code = ErrorCode::kIo;
  return std::move(out).addContext("checkpoint " + folder);
}

Result<void> checkFile(os::Filesystem& files, const std::string& folder, const CheckpointFile& file,
                       Depth depth) {
  const std::string path = folder + "/" + file.name;
  const auto status = files.status(path);
  if (!status.has_value()) return withoutFile(folder, status.error());
  if (status->kind != os::FileKind::kFile || status->size != file.bytes) {
    return notComplete(folder, file.name + " has " + std::to_string(status->size) +
                                   " bytes: expected " + std::to_string(file.bytes) + ", by " +
                                   kCheckpointFile);
  }
  if (depth == Depth::kSizes) return {};
  const auto digest = digestOf(path);
  if (!digest.has_value()) return withoutFile(folder, digest.error());
  if (digest->sha256 == file.sha256) return {};
  return notComplete(folder, file.name + " has the digest " + digest->sha256.substr(0, 16) +
                                 "…, by " + kCheckpointFile + " " + file.sha256.substr(0, 16) +
                                 "…: it is not what was written");
}

}  // namespace

Result<Checkpoint> readCheckpoint(os::Filesystem& files, const std::string& folder, Depth depth) {
  RAILHEAD_TRY(files.status(folder));
  const std::string path = folder + "/" + kCheckpointFile;
  const auto text = files.readFile(path, kMaxRecord);
  if (!text.has_value()) {
    const bool tooLarge = text.error().code == ErrorCode::kExhausted;
    return tooLarge ? notComplete(folder, text.error().message) : withoutFile(folder, text.error());
  }
  RAILHEAD_TRY_ASSIGN(auto out, parseCheckpoint(*text, path));
  const auto named = checkpointStep(folder.substr(folder.rfind('/') + 1));
  if (named && *named != out.step) {
    return notComplete(folder,
                       std::string(kCheckpointFile) + " says step " + std::to_string(out.step));
  }
  for (const auto& file : out.files) RAILHEAD_TRY(checkFile(files, folder, file, depth));
  return out;
}

Result<std::vector<std::uint64_t>> checkpointSteps(os::Filesystem& files,
                                                   const std::string& folder) {
  std::vector<std::uint64_t> out;
  const auto names = files.listDirectory(folder);
  if (!names.has_value() && names.error().code == ErrorCode::kNotFound) return out;
  if (!names.has_value()) return names.error();
  for (const auto& name : *names) {
    if (const auto step = checkpointStep(name)) out.push_back(*step);
  }
  // Names of more than eight digits do not sort as numbers do.
  std::sort(out.begin(), out.end());
  return out;
}

Result<FoundCheckpoints> findCheckpoints(os::Filesystem& files, const std::string& folder) {
  RAILHEAD_TRY_ASSIGN(const auto steps, checkpointSteps(files, folder));
  FoundCheckpoints out;
  for (const std::uint64_t step : steps) {
    const auto read = readCheckpoint(files, folder + "/" + checkpointName(step), Depth::kSizes);
    if (read.has_value()) {
      out.complete.push_back(step);
    } else {
      if (read.error().code != ErrorCode::kCorrupt) return read.error();
      out.notes.push_back(read.error().message);
    }
  }
  return out;
}

Result<NewestCheckpoint> newestCheckpoint(os::Filesystem& files, const std::string& folder,
                                          std::uint64_t most) {
  RAILHEAD_TRY_ASSIGN(auto found, findCheckpoints(files, folder));
  NewestCheckpoint out;
  out.notes = std::move(found.notes);
  for (auto step = found.complete.rbegin(); step != found.complete.rend(); ++step) {
    if (*step > most) continue;
    const std::string path = folder + "/" + checkpointName(*step);
    auto read = readCheckpoint(files, path, Depth::kDigests);
    if (!read.has_value()) {
      if (read.error().code != ErrorCode::kCorrupt) return read.error();
      out.notes.push_back(read.error().message);
      continue;
    }
    out.checkpoint = std::move(*read);
    out.path = path;
    break;
  }
  return out;
}

}  // namespace railhead::checkpoint
