// Recorded or hand-made file trees (tests/fixtures/trees/*.tree), one line a path:
//   /sys/bus/pci/devices/0000:01:00.0/vendor = 0x15b3
//   /sys/bus/pci/devices/0000:01:00.0 -> ../../../devices/pci0000:00/0000:01:00.0
// Files end in a newline, as sysfs attributes do. "\xNN" is a byte; '#' in column one a comment.
#pragma once

#include "src/base/result.h"
#include "tests/support/memory_filesystem.h"

#include <string>
#include <vector>

namespace railhead::testing_support {

struct TreeEntry {
  std::string path;
  bool isLink = false;
  std::string content;  // or the link's target
};

// kCorrupt names the line that is neither of the two forms.
Result<std::vector<TreeEntry>> parseTree(std::string_view text);
// "spark" → tests/fixtures/trees/spark.tree below the working directory.
Result<std::vector<TreeEntry>> readTree(const std::string& name);

void putTree(const std::vector<TreeEntry>& tree, MemoryFilesystem& files);
// The same as real files below the existing directory `root`.
Result<void> writeTree(const std::vector<TreeEntry>& tree, const std::string& root);

}  // namespace railhead::testing_support
