// Tolerant reads of one kernel object's attributes: what cannot be read is absent. Bounded; for
// sysfs directories and recorded trees. Thread-safe as the Filesystem is.
#pragma once

#include "src/base/mac.h"
#include "src/base/pci_address.h"
#include "src/os/filesystem.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::discover {

class Attributes {
 public:
  static constexpr std::size_t kMaxLength = 256;  // of a text; longer ones are cut
  static constexpr std::size_t kMaxEntries = 64;  // of a directory with a handful of entries

  Attributes(os::Filesystem& files, std::string directory)
      : files_(files), directory_(std::move(directory)) {}

  const std::string& directory() const { return directory_; }
  Attributes below(std::string_view name) const;

  std::string text(std::string_view name) const;                     // trimmed; empty when absent
  std::optional<std::uint64_t> number(std::string_view name) const;  // decimal or 0x
  int integer(std::string_view name, int low, int high, int otherwise) const;  // decimal
  Mac mac(std::string_view name) const;                                        // zero when absent
  std::string linkName(std::string_view name) const;  // last component of a link's target
  std::vector<std::string> entries(std::string_view name, std::size_t limit = kMaxEntries) const;

 private:
  os::Filesystem& files_;
  std::string directory_;
};

}  // namespace railhead::discover
