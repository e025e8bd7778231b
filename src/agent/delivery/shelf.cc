#include "src/agent/delivery/shelf.h"

#include "src/base/text.h"
#include "src/tune/export.h"

#include <algorithm>
#include <array>

namespace railhead::agent {
namespace {

constexpr std::array<const char*, 4> kFileNames{kConfName, kTableName, kProfileName, kTunerName};
constexpr std::size_t kMaxRecord = 1024;

std::string recordText(const ProfileRecord& record) {
  const auto seconds =
      std::chrono::duration_cast<std::chrono::seconds>(record.since.time_since_epoch()).count();
  return "current " + record.current + "\nprevious " + record.previous + "\nsince " +
         std::to_string(seconds) + "\n";
}

// Written by us below a folder of root's; what is not in the form is nothing.
ProfileRecord parseRecord(std::string_view text) {
  ProfileRecord record;
  for (const auto line : split(text, '\n')) {
    const auto words = split(line, ' ');
    if (words.size() != 2) continue;
    if (words[0] == "since") {
      const auto seconds = parseUnsigned(words[1]).value_or(0);
      constexpr std::uint64_t kYear9999 = 253402300799;
      record.since =
          std::chrono::system_clock::time_point(std::chrono::seconds(std::min(seconds, kYear9999)));
    } else if (tune::isSha256(words[1])) {
      if (words[0] == "current") record.current = words[1];
      if (words[0] == "previous") record.previous = words[1];
    }
  }
  return record;
}

}  // namespace

Result<void> ProfileShelf::putFile(const std::string& path, std::string_view data) {
  const auto there = files_.readFile(path, kMaxPlugin);
  if (there.has_value() && *there == data) return {};
  return files_.replaceFile(path, data, 0644);
}

Result<void> ProfileShelf::fill(const std::string& folder, const tune::Profile& profile,
                                const std::string& plugin) {
  RAILHEAD_TRY_ASSIGN(const std::string yaml, tune::writeProfile(profile));
  RAILHEAD_TRY_ASSIGN(const std::string table, tune::tunerTable(profile));
  auto library = files_.readFile(plugin, kMaxPlugin);
  if (!library.has_value()) {
    return std::move(library)
        .error()
        .addContext("the tuner plugin")
        .withRemedy("name libnccl-tuner-railhead.so in profile.plugin");
  }
  RAILHEAD_TRY(files_.makeDirectories(folder, 0755));
  RAILHEAD_TRY(putFile(folder + "/" + kConfName, tune::ncclConf(profile)));
  RAILHEAD_TRY(putFile(folder + "/" + kTableName, table));
  RAILHEAD_TRY(putFile(folder + "/" + kProfileName, yaml));
  return putFile(folder + "/" + kTunerName, *library);
}

// What an agent that was killed while it wrote left: a pod should not find it.
void ProfileShelf::removeInterruptedCopies(const std::string& folder) {
  const auto names = files_.listDirectory(folder);
  if (!names.has_value()) return;
  for (const auto& name : *names) {
    if (name.starts_with('.')) static_cast<void>(files_.remove(folder + "/" + name));
  }
}

Result<void> ProfileShelf::place(const tune::Profile& profile, const std::string& plugin) {
  const std::string folder = folderOf(tune::profileHash(profile));
  const bool isNew = !files_.exists(folder);
  if (isNew && hashes().size() >= kMaxProfiles) {
    return Error(ErrorCode::kExhausted,
                 folder_ + " holds " + std::to_string(kMaxProfiles) +
                     " profiles that pods of this node may have mounted",
                 "drain the node of pods with rails: old profiles go when the next one comes");
  }
  if (!isNew) removeInterruptedCopies(folder);
  auto filled = fill(folder, profile, plugin);
  if (!filled.has_value() && isNew) static_cast<void>(removeFolder(folder));
  return filled;
}

bool ProfileShelf::holds(const std::string& hash) const {
  return !hash.empty() && std::all_of(kFileNames.begin(), kFileNames.end(), [&](const char* name) {
    return files_.exists(folderOf(hash) + "/" + name);
  });
}

Result<tune::Profile> ProfileShelf::read(const std::string& hash) const {
  const std::string path = folderOf(hash) + "/" + kProfileName;
  RAILHEAD_TRY_ASSIGN(const std::string text, files_.readFile(path));
  return tune::parseProfile(text, path);
}

std::vector<std::string> ProfileShelf::hashes() const {
  auto names = files_.listDirectory(folder_);
  if (!names.has_value()) return {};
  std::erase_if(*names, [](const std::string& name) { return !tune::isSha256(name); });
  return std::move(*names);
}

Result<void> ProfileShelf::removeFolder(const std::string& folder) {
  RAILHEAD_TRY_ASSIGN(const auto names, files_.listDirectory(folder));
  for (const auto& name : names) RAILHEAD_TRY(files_.remove(folder + "/" + name));
  return files_.remove(folder);
}

Result<void> ProfileShelf::keepOnly(const std::set<std::string>& hashes) {
  for (const auto& hash : this->hashes()) {
    if (!hashes.contains(hash)) RAILHEAD_TRY(removeFolder(folderOf(hash)));
  }
  return {};
}

ProfileRecord ProfileShelf::record() const {
  const auto text = files_.readFile(folder_ + "/record", kMaxRecord);
  return text.has_value() ? parseRecord(*text) : ProfileRecord();
}

Result<void> ProfileShelf::write(const ProfileRecord& record) {
  RAILHEAD_TRY(make());
  return files_.replaceFile(folder_ + "/record", recordText(record));
}

std::string ProfileShelf::setAside() const {
  const auto text = files_.readTrimmed(markPath());
  return text.has_value() ? hashIn(*text) : std::string();
}

std::string ProfileShelf::hashIn(std::string_view mark) {
  const std::string hash(trim(mark));
  return tune::isSha256(hash) ? hash : std::string();
}

Result<void> ProfileShelf::setAside(const std::string& hash) {
  if (hash.empty()) return files_.remove(markPath());
  RAILHEAD_TRY(make());
  return files_.replaceFile(markPath(), hash + "\n");
}

}  // namespace railhead::agent
