// Large files written once, part by part, that are on the disk when close() has returned; and
// reading parts of such files. For checkpoints: what is small goes through Filesystem. Each object
// is used by one thread at a time.
#pragma once

#include "src/base/result.h"
#include "src/os/unique_fd.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace railhead::os {

class DurableFile {
 public:
  // kAlreadyExists when there is one: nothing is overwritten.
  static Result<DurableFile> create(const std::string& path);

  // kExhausted, with a remedy: the disk is full.
  Result<void> write(std::span<const std::byte> bytes);
  std::uint64_t size() const { return size_; }
  Result<void> close();  // fsync(2) first

 private:
  DurableFile(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
  UniqueFd fd_;
  std::string path_;
  std::uint64_t size_ = 0;
};

// The names in a folder are on the disk: after creating, renaming or removing one.
Result<void> syncFolder(const std::string& path);

class RandomAccessFile {
 public:
  // kInvalidArgument: not a regular file.
  static Result<RandomAccessFile> open(const std::string& path);

  std::uint64_t size() const { return size_; }  // when it was opened
  // Fills `into`; kCorrupt when the file ends before.
  Result<void> read(std::uint64_t offset, std::span<std::byte> into) const;

 private:
  RandomAccessFile(UniqueFd fd, std::string path, std::uint64_t size)
      : fd_(std::move(fd)), path_(std::move(path)), size_(size) {}
  UniqueFd fd_;
  std::string path_;
  std::uint64_t size_;
};

}  // namespace railhead::os
