// The runtime's CNI folder as the runtime sees it: which files there are, which one it uses, and
// which of them is the primary network's. Reads only.
#pragma once

#include "src/base/result.h"
#include "src/conflist/configuration.h"
#include "src/os/filesystem.h"

#include <optional>
#include <string>
#include <vector>

namespace railhead::conflist {

inline constexpr std::size_t kMaxFiles = 256;  // looked at in the folder

struct FolderFile {
  std::string name;
  std::string text;                            // empty when it could not be read
  std::optional<Configuration> configuration;  // absent: see problem
  std::string problem;
  bool forbidden = false;  // the problem is that we may not read it
};

struct FolderPicture {
  std::vector<FolderFile> files;  // what the runtime looks at, in its order

  const FolderFile* find(std::string_view name) const;
  // What the runtime uses: containerd stops at a broken first file, CRI-O goes on. Null when there
  // is none.
  const FolderFile* first() const { return files.empty() ? nullptr : &files.front(); }
  // The primary network's: `wanted`, or the first usable one that is not `ours`. Null when there is
  // none.
  const FolderFile* primary(std::string_view ours, std::string_view wanted) const;
};

// kNotFound while the folder does not exist.
Result<FolderPicture> lookAtFolder(os::Filesystem& files, const std::string& folder);

}  // namespace railhead::conflist
