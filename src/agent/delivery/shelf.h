// The profiles that are laid out for pods, each in a folder of its own that pods have mounted:
// <folder>/<hash>/{nccl.conf,nccl-tuner.table,profile.yaml,libnccl-tuner-railhead.so}. Beside them
// stands which one is in force and which one an operator set aside. One thread at a time.
#pragma once

#include "src/base/result.h"
#include "src/os/filesystem.h"
#include "src/os/host_paths.h"
#include "src/tune/profile.h"

#include <chrono>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

namespace railhead::agent {

inline constexpr const char* kConfName = "nccl.conf";
inline constexpr const char* kTableName = "nccl-tuner.table";
inline constexpr const char* kProfileName = "profile.yaml";
inline constexpr const char* kTunerName = "libnccl-tuner-railhead.so";

// Hashes; empty: none.
struct ProfileRecord {
  std::string current;                          // the last one that was applied
  std::string previous;                         // the one before: what a rollback goes back to
  std::chrono::system_clock::time_point since;  // to the second: when it became so

  bool operator==(const ProfileRecord&) const = default;
};

class ProfileShelf {
 public:
  static constexpr std::size_t kMaxProfiles = 16;
  static constexpr std::size_t kMaxPlugin = 4 << 20;  // all of them lie in the node's memory

  // `files` outlives it.
  ProfileShelf(os::Filesystem& files, const os::HostPaths& paths)
      : files_(files), folder_(paths.profiles()) {}

  std::string folderOf(const std::string& hash) const { return folder_ + "/" + hash; }
  std::string markPath() const { return folder_ + "/set-aside"; }

  // The folder itself. The other members that write do the same.
  Result<void> make() { return files_.makeDirectories(folder_, 0755); }
  // Lays the profile out with a copy of the plugin, each file whole or not at all; what is there
  // already is left alone. An Error leaves no half folder, and an earlier one as it was; kExhausted
  // when kMaxProfiles are there, or the node's memory is full.
  Result<void> place(const tune::Profile& profile, const std::string& plugin);
  bool holds(const std::string& hash) const;  // every file of it
  Result<tune::Profile> read(const std::string& hash) const;
  std::vector<std::string> hashes() const;
  // Removes the others. Only where no pod can have one of them mounted, or get it again when a
  // container of it restarts.
  Result<void> keepOnly(const std::set<std::string>& hashes);

  // Without a record, or with one that cannot be read, an empty one.
  ProfileRecord record() const;
  Result<void> write(const ProfileRecord& record);
  // The profile that an operator does not want, until the cluster's file holds another one.
  std::string setAside() const;
  static std::string hashIn(std::string_view mark);  // of the mark's text; empty: it holds none
  Result<void> setAside(const std::string& hash);    // empty: none any more

 private:
  Result<void> fill(const std::string& folder, const tune::Profile& profile,
                    const std::string& plugin);
  Result<void> putFile(const std::string& path, std::string_view data);
  void removeInterruptedCopies(const std::string& folder);
  Result<void> removeFolder(const std::string& folder);

  os::Filesystem& files_;
  const std::string folder_;
};

}  // namespace railhead::agent
