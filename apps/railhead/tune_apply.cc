#include "apps/railhead/tune_apply.h"

#include "src/base/text.h"
#include "src/tune/export.h"

#include <array>
#include <utility>
#include <vector>

namespace railhead::app {
namespace {

constexpr const char* kData = "..data";
constexpr const char* kPrevious = "..previous";
constexpr const char* kNoProfile = "..none";  // an empty generation: what was there at first
constexpr const char* kNewLink = "..new";
constexpr std::size_t kHashDigits = 16;
constexpr std::array kNames{"profile.yaml", "nccl.conf", "nccl-tuner.table"};

Result<void> pointAt(os::Filesystem& files, const std::string& link, const std::string& target) {
  const std::string fresh = link.substr(0, link.rfind('/') + 1) + kNewLink;
  RAILHEAD_TRY(files.remove(fresh));
  RAILHEAD_TRY(files.makeSymlink(target, fresh));
  return files.rename(fresh, link);
}

std::string targetOf(os::Filesystem& files, const std::string& link) {
  const auto target = files.readLink(link);
  return target.has_value() ? *target : kNoProfile;
}

std::string hashOf(const std::string& generation) {
  return generation == kNoProfile ? "" : generation.substr(2);
}

Result<void> writeGeneration(os::Filesystem& files, const std::string& folder,
                             const tune::Profile& profile) {
  RAILHEAD_TRY_ASSIGN(const std::string yaml, tune::writeProfile(profile));
  RAILHEAD_TRY_ASSIGN(const std::string table, tune::tunerTable(profile));
  RAILHEAD_TRY(files.makeDirectories(folder));
  RAILHEAD_TRY(files.replaceFile(folder + "/" + kNames[0], yaml));
  RAILHEAD_TRY(files.replaceFile(folder + "/" + kNames[1], tune::ncclConf(profile)));
  return files.replaceFile(folder + "/" + kNames[2], table);
}

Result<void> linkNames(os::Filesystem& files, const std::string& folder) {
  for (const std::string name : kNames) {
    const std::string target = std::string(kData) + "/" + name;
    const std::string link = folder + "/" + name;
    if (targetOf(files, link) == target) continue;
    if (files.exists(link)) {
      return Error(ErrorCode::kAlreadyExists, link + " is not of a profile's making",
                   "move it away, or name another folder");
    }
    RAILHEAD_TRY(pointAt(files, link, target));
  }
  return {};
}

// What neither is in use nor would a rollback bring back.
Result<void> removeOthers(os::Filesystem& files, const std::string& folder, const std::string& now,
                          const std::string& previous) {
  RAILHEAD_TRY_ASSIGN(const auto entries, files.listDirectory(folder));
  for (const auto& entry : entries) {
    const bool generation = entry.size() == kHashDigits + 2 && entry.starts_with("..") &&
                            parseHex(entry.substr(2)).has_value();
    if (!generation || entry == now || entry == previous) continue;
    for (const char* name : kNames) RAILHEAD_TRY(files.remove(folder + "/" + entry + "/" + name));
    RAILHEAD_TRY(files.remove(folder + "/" + entry));
  }
  return {};
}

}  // namespace

Result<Applied> applyProfile(os::Filesystem& files, const std::string& folder,
                             const tune::Profile& profile) {
  const std::string now = ".." + tune::profileHash(profile).substr(0, kHashDigits);
  const std::string before = targetOf(files, folder + "/" + kData);
  RAILHEAD_TRY(files.makeDirectories(folder + "/" + kNoProfile));
  RAILHEAD_TRY(linkNames(files, folder));
  RAILHEAD_TRY(writeGeneration(files, folder + "/" + now, profile));
  if (before != now) {
    RAILHEAD_TRY(pointAt(files, folder + "/" + kPrevious, before));
    RAILHEAD_TRY(pointAt(files, folder + "/" + kData, now));
  }
  const std::string previous = targetOf(files, folder + "/" + kPrevious);
  RAILHEAD_TRY(removeOthers(files, folder, now, previous));
  return Applied{hashOf(now), hashOf(previous)};
}

Result<Applied> rollBack(os::Filesystem& files, const std::string& folder) {
  if (!files.readLink(folder + "/" + kPrevious).has_value()) {
    return Error(ErrorCode::kNotFound, "no profile was applied to " + folder);
  }
  const std::string now = targetOf(files, folder + "/" + kPrevious);
  const std::string previous = targetOf(files, folder + "/" + kData);
  RAILHEAD_TRY(pointAt(files, folder + "/" + kData, now));
  RAILHEAD_TRY(pointAt(files, folder + "/" + kPrevious, previous));
  return Applied{hashOf(now), hashOf(previous)};
}

}  // namespace railhead::app
