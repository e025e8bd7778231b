#include "src/os/durable_file.h"

#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace railhead::os {
namespace {

Error fileFailed(std::string_view operation, const std::string& path) {
  Error error = Error::fromErrno(errno, std::string(operation) + " " + path);
  if (error.errnoValue == ENOSPC || error.errnoValue == EDQUOT) {
    error.code = ErrorCode::kExhausted;
    error.withRemedy("make room on that disk");
  }
  return error;
}

}  // namespace

Result<DurableFile> DurableFile::create(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (!fd) return fileFailed("create", path);
  return DurableFile(std::move(fd), path);
}

Result<void> DurableFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd_.get(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fileFailed("write", path_);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
    size_ += static_cast<std::uint64_t>(written);
  }
  return {};
}

Result<void> DurableFile::close() {
  if (::fsync(fd_.get()) != 0) return fileFailed("fsync", path_);
  if (::close(fd_.release()) != 0) return fileFailed("close", path_);
  return {};
}

Result<void> syncFolder(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return fileFailed("open folder", path);
  if (::fsync(fd.get()) != 0) return fileFailed("fsync folder", path);
  return {};
}

Result<RandomAccessFile> RandomAccessFile::open(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (!fd) return fileFailed("open", path);
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return fileFailed("stat", path);
  if (!S_ISREG(status.st_mode)) {
    return Error(ErrorCode::kInvalidArgument, path + " is not a regular file");
  }
  return RandomAccessFile(std::move(fd), path, static_cast<std::uint64_t>(status.st_size));
}

Result<void> RandomAccessFile::read(std::uint64_t offset, std::span<std::byte> into) const {
  while (!into.empty()) {
    const ssize_t got = ::pread(fd_.get(), into.data(), into.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fileFailed("read", path_);
    if (got == 0) {
      return Error(ErrorCode::kCorrupt, path_ + " ends at byte " + std::to_string(offset) + ", " +
                                            std::to_string(into.size()) +
                                            " bytes before it should");
    }
    into = into.subspan(static_cast<std::size_t>(got));
    offset += static_cast<std::uint64_t>(got);
  }
  return {};
}

}  // namespace railhead::os
