// Tells when files in one folder appear, are written or vanish (inotify). Not thread-safe; never
// blocks.
#pragma once

#include "src/base/result.h"
#include "src/os/unique_fd.h"

#include <set>
#include <string>

namespace railhead::os {

class FolderWatch {
 public:
  struct Changes {
    std::set<std::string> appeared;  // created, or moved here
    std::set<std::string> written;   // closed after writing
    std::set<std::string> vanished;
    bool folderGone = false;  // removed or unmounted: open a new watch
    bool missedSome = false;  // the kernel's queue overflowed: look for yourself
  };

  // kNotFound while the folder does not exist.
  static Result<FolderWatch> open(const std::string& folder);

  int fd() const { return fd_.get(); }  // readable when there is something to drain
  Changes drain();

 private:
  explicit FolderWatch(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace railhead::os
