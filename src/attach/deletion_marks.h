// What the shim left when a DEL passed without the agent (src/cni/names.h). Thread-safe as its
// Filesystem is.
#pragma once

#include "src/attach/request.h"
#include "src/base/result.h"
#include "src/os/filesystem.h"

#include <string>
#include <vector>

namespace railhead::attach {

class DeletionMarks {
 public:
  static constexpr std::size_t kMost = 4096;  // read at once; the next call reads the next

  DeletionMarks(os::Filesystem& files, std::string stateFolder)
      : files_(&files), state_(std::move(stateFolder)) {}

  // What is no mark is left out, and lies where it lies.
  Result<std::vector<AttachmentId>> all();
  bool has(const AttachmentId& id);
  Result<void> erase(const AttachmentId& id);

 private:
  os::Filesystem* files_;
  std::string state_;
};

}  // namespace railhead::attach
