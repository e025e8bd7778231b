#include "src/checkpoint/writing.h"

#include "src/checkpoint/reading.h"
#include "src/os/durable_file.h"

namespace railhead::checkpoint {
namespace {

// A folder of files, as a checkpoint is one.
Result<void> removeFolder(os::Filesystem& files, const std::string& folder) {
  auto names = files.listDirectory(folder);
  if (!names.has_value() && names.error().code == ErrorCode::kNotFound) return {};
  if (!names.has_value()) return std::move(names).error();
  for (const auto& name : *names) RAILHEAD_TRY(files.remove(folder + "/" + name));
  return files.remove(folder);
}

// To a name that no checkpoint has: "step-00000123.left-2". Returns it.
Result<std::string> renameAside(os::Filesystem& files, const std::string& path,
                                const std::string& end) {
  std::string aside;
  for (int number = 1; aside.empty() || files.exists(aside); ++number)
    aside = path + end + std::to_string(number);
  RAILHEAD_TRY(files.rename(path, aside));
  return aside;
}

}  // namespace

Result<std::string> beginCheckpoint(os::Filesystem& files, const std::string& folder,
                                    std::uint64_t step) {
  const std::string path = folder + "/" + unfinishedName(step);
  RAILHEAD_TRY(files.makeDirectories(folder));
  RAILHEAD_TRY(removeFolder(files, path));
  RAILHEAD_TRY(files.makeDirectories(path));
  return path;
}

Result<std::string> finishCheckpoint(os::Filesystem& files, const std::string& folder,
                                     const Checkpoint& checkpoint) {
  const std::string part = folder + "/" + unfinishedName(checkpoint.step);
  const std::string whole = folder + "/" + checkpointName(checkpoint.step);
  const std::string replaced = folder + "/" + goneName(checkpoint.step);
  RAILHEAD_TRY(files.replaceFile(part + "/" + kCheckpointFile, writeCheckpoint(checkpoint)));
  RAILHEAD_TRY(os::syncFolder(part));
  if (files.exists(whole)) {
    RAILHEAD_TRY(removeFolder(files, replaced));
    RAILHEAD_TRY(files.rename(whole, replaced));
  }
  RAILHEAD_TRY(files.rename(part, whole));
  RAILHEAD_TRY(os::syncFolder(folder));
  RAILHEAD_TRY(removeFolder(files, replaced));
  return whole;
}

Result<void> pruneCheckpoints(os::Filesystem& files, const std::string& folder, std::uint64_t step,
                              std::size_t keep) {
  RAILHEAD_TRY(removeUnfinished(files, folder));
  RAILHEAD_TRY_ASSIGN(auto steps, checkpointSteps(files, folder));
  for (; !steps.empty() && steps.back() > step; steps.pop_back())
    RAILHEAD_TRY(renameAside(files, folder + "/" + checkpointName(steps.back()), ".left-"));
  for (std::size_t i = 0; keep > 0 && i + keep < steps.size(); ++i)
    RAILHEAD_TRY(removeCheckpoint(files, folder, steps[i]));
  return {};
}

Result<std::vector<std::string>> setAside(os::Filesystem& files, const std::string& folder,
                                          std::uint64_t newest) {
  RAILHEAD_TRY_ASSIGN(const auto steps, checkpointSteps(files, folder));
  std::vector<std::string> out;
  for (const std::uint64_t step : steps) {
    const std::string path = folder + "/" + checkpointName(step);
    const auto read = readCheckpoint(files, path, Depth::kSizes);
    if (!read.has_value() && read.error().code != ErrorCode::kCorrupt) return read.error();
    if (step <= newest && read.has_value()) continue;
    RAILHEAD_TRY_ASSIGN(const auto aside, renameAside(files, path, ".broken-"));
    out.push_back(path + " was set aside as " + aside.substr(aside.rfind('/') + 1));
  }
  return out;
}

Result<void> removeCheckpoint(os::Filesystem& files, const std::string& folder,
                              std::uint64_t step) {
  const std::string gone = folder + "/" + goneName(step);
  RAILHEAD_TRY(removeFolder(files, gone));
  const auto renamed = files.rename(folder + "/" + checkpointName(step), gone);
  if (!renamed.has_value() && renamed.error().code == ErrorCode::kNotFound) return {};
  RAILHEAD_TRY(renamed);
  return removeFolder(files, gone);
}

Result<void> removeUnfinished(os::Filesystem& files, const std::string& folder) {
  const auto names = files.listDirectory(folder);
  if (!names.has_value() && names.error().code == ErrorCode::kNotFound) return {};
  if (!names.has_value()) return names.error();
  for (const auto& name : *names) {
    if (isUnfinished(name)) RAILHEAD_TRY(removeFolder(files, folder + "/" + name));
  }
  return {};
}

}  // namespace railhead::checkpoint
