// The seam onto files: sysfs, procfs, configuration, state. One real implementation
// (RootedFilesystem), one stateful fake (tests/support/fake_kernel.h); both pass
// tests/support/filesystem_contract.h. Paths are absolute, '/'-separated and seen from the
// implementation's root; symbolic links, absolute ones too, resolve inside that root and never lead
// out of it. Thread-safe.
#pragma once

#include "src/base/result.h"
#include "src/os/unique_fd.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

namespace railhead::os {

enum class FileKind { kFile, kDirectory, kSymlink, kSocket, kDevice, kOther };

struct FileStatus {
  FileKind kind = FileKind::kOther;
  std::uint64_t size = 0;      // bytes
  std::uint64_t deviceId = 0;  // st_rdev of a device node: major and minor
  std::uint64_t inode = 0;
  std::uint64_t filesystem = 0;  // st_dev
};

class Filesystem {
 public:
  static constexpr std::size_t kMaxRead = 1 << 20;

  virtual ~Filesystem() = default;

  // The whole file; kExhausted when it is longer than maxBytes. sysfs attributes keep their
  // newline.
  virtual Result<std::string> readFile(const std::string& path,
                                       std::size_t maxBytes = kMaxRead) = 0;
  // One write(2) to an existing file, as sysfs wants it; creates nothing.
  virtual Result<void> writeFile(const std::string& path, std::string_view data) = 0;
  // Atomic and durable: temporary file beside it, fsync, rename. Readers see the old or the new.
  virtual Result<void> replaceFile(const std::string& path, std::string_view data,
                                   mode_t mode = 0644) = 0;
  virtual Result<std::string> readLink(const std::string& path) = 0;  // target as stored
  // Name of the last component the link points to ("igbvf" for .../driver); kNotFound without link.
  Result<std::string> linkName(const std::string& path);
  virtual Result<std::vector<std::string>> listDirectory(const std::string& path) = 0;  // sorted
  virtual Result<FileStatus> status(const std::string& path) = 0;  // follows links
  virtual Result<void> makeDirectories(const std::string& path, mode_t mode = 0755) = 0;
  // Files, links, sockets, empty directories. Removing what is not there succeeds.
  virtual Result<void> remove(const std::string& path) = 0;
  virtual Result<void> rename(const std::string& from, const std::string& to) = 0;
  virtual Result<void> makeSymlink(const std::string& target, const std::string& path) = 0;

  bool exists(const std::string& path) { return status(path).has_value(); }
  // readFile without surrounding white space.
  Result<std::string> readTrimmed(const std::string& path);
  Result<std::uint64_t> readUnsigned(const std::string& path);  // decimal or 0x
};

// Files below `root` of the real machine ("/" in production, a recorded tree in tests).
class RootedFilesystem final : public Filesystem {
 public:
  static Result<std::unique_ptr<RootedFilesystem>> open(const std::string& root);
  // `root`: an open directory.
  static std::unique_ptr<RootedFilesystem> at(UniqueFd root);

  Result<std::string> readFile(const std::string& path, std::size_t maxBytes) override;
  Result<void> writeFile(const std::string& path, std::string_view data) override;
  Result<void> replaceFile(const std::string& path, std::string_view data, mode_t mode) override;
  Result<std::string> readLink(const std::string& path) override;
  Result<std::vector<std::string>> listDirectory(const std::string& path) override;
  Result<FileStatus> status(const std::string& path) override;
  Result<void> makeDirectories(const std::string& path, mode_t mode) override;
  Result<void> remove(const std::string& path) override;
  Result<void> rename(const std::string& from, const std::string& to) override;
  Result<void> makeSymlink(const std::string& target, const std::string& path) override;

 private:
  explicit RootedFilesystem(UniqueFd root) : root_(std::move(root)) {}
  Result<UniqueFd> openInside(const std::string& path, int flags, mode_t mode = 0);
  Result<UniqueFd> openParent(const std::string& path, std::string& name);

  UniqueFd root_;
};

}  // namespace railhead::os
