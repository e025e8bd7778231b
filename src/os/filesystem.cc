#include "src/os/filesystem.h"

#include "src/base/text.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdio>

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace railhead::os {
namespace {

Error failed(int errnoValue, std::string_view operation, const std::string& path) {
  return Error::fromErrno(errnoValue, std::string(operation) + " " + path);
}

FileKind kindOf(mode_t mode) {
  if (S_ISREG(mode)) return FileKind::kFile;
  if (S_ISDIR(mode)) return FileKind::kDirectory;
  if (S_ISLNK(mode)) return FileKind::kSymlink;
  if (S_ISSOCK(mode)) return FileKind::kSocket;
  if (S_ISCHR(mode) || S_ISBLK(mode)) return FileKind::kDevice;
  return FileKind::kOther;
}

Result<void> writeAll(int fd, std::string_view data, const std::string& path) {
  while (!data.empty()) {
    const ssize_t written = ::write(fd, data.data(), data.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return failed(errno, "write", path);
    data.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

bool isOwnRoot(int directory) {
  struct stat given {};
  struct stat own {};
  return ::fstat(directory, &given) == 0 && ::stat("/", &own) == 0 && given.st_dev == own.st_dev &&
         given.st_ino == own.st_ino;
}

}  // namespace

Result<std::string> Filesystem::linkName(const std::string& path) {
  RAILHEAD_TRY_ASSIGN(const std::string target, readLink(path));
  return target.substr(target.rfind('/') + 1);
}

Result<std::string> Filesystem::readTrimmed(const std::string& path) {
  RAILHEAD_TRY_ASSIGN(const std::string text, readFile(path));
  return std::string(trim(text));
}

Result<std::uint64_t> Filesystem::readUnsigned(const std::string& path) {
  RAILHEAD_TRY_ASSIGN(const std::string text, readTrimmed(path));
  const auto value = text.starts_with("0x") ? parseHex(text) : parseUnsigned(text);
  if (!value) {
    return Error(ErrorCode::kCorrupt, path + " holds " + inQuotes(text) + ": expected a number");
  }
  return *value;
}

Result<std::unique_ptr<RootedFilesystem>> RootedFilesystem::open(const std::string& root) {
  UniqueFd fd(::open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return failed(errno, "open root directory", root);
  return std::unique_ptr<RootedFilesystem>(new RootedFilesystem(std::move(fd)));
}

std::unique_ptr<RootedFilesystem> RootedFilesystem::at(UniqueFd root) {
  return std::unique_ptr<RootedFilesystem>(new RootedFilesystem(std::move(root)));
}

Result<UniqueFd> RootedFilesystem::openInside(const std::string& path, int flags, mode_t mode) {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC);
  how.mode = (flags & O_CREAT) != 0 ? mode : 0;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  // With RESOLVE_IN_ROOT the kernel answers EAGAIN when anything on the machine was renamed or
  // mounted while it followed a ".." (openat2(2)): sysfs's links have many, and a netdev that moves
  // is a rename.
  constexpr int kTries = 1000;
  long fd = -1;
  for (int i = 0; i < kTries; ++i) {
    fd = ::syscall(SYS_openat2, root_.get(), path.c_str(), &how, sizeof how);
    if (fd >= 0 || (errno != EAGAIN && errno != EINTR)) break;
  }
  // No openat2 (qemu-user before 10; seccomp profiles older than the call): below "/" there is
  // nothing to keep a path inside of, and any other root stays closed.
  if (fd < 0 && errno == ENOSYS && isOwnRoot(root_.get()))
    fd = ::open(path.c_str(), flags | O_CLOEXEC, how.mode);
  if (fd < 0) return failed(errno, "open", path);
  return UniqueFd(static_cast<int>(fd));
}

Result<UniqueFd> RootedFilesystem::openParent(const std::string& path, std::string& name) {
  const auto slash = path.rfind('/');
  name = path.substr(slash + 1);
  if (slash == std::string::npos || name.empty() || name == "." || name == "..") {
    return Error(ErrorCode::kInvalidArgument,
                 "path " + inQuotes(path) + ": expected an absolute file name");
  }
  return openInside(slash == 0 ? "/" : path.substr(0, slash), O_RDONLY | O_DIRECTORY);
}

Result<std::string> RootedFilesystem::readFile(const std::string& path, std::size_t maxBytes) {
  RAILHEAD_TRY_ASSIGN(const UniqueFd fd, openInside(path, O_RDONLY | O_NONBLOCK));
  std::string data;
  char chunk[16384];
  for (;;) {
    const ssize_t got = ::read(fd.get(), chunk, sizeof chunk);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed(errno, "read", path);
    if (got == 0) return data;
    if (data.size() + static_cast<std::size_t>(got) > maxBytes) {
      return Error(ErrorCode::kExhausted, "read " + path + ": longer than the " +
                                              std::to_string(maxBytes) + " bytes allowed here");
    }
    data.append(chunk, static_cast<std::size_t>(got));
  }
}

Result<void> RootedFilesystem::writeFile(const std::string& path, std::string_view data) {
  RAILHEAD_TRY_ASSIGN(const UniqueFd fd, openInside(path, O_WRONLY));
  const std::string operation = "write " + inQuotes(data, 40) + " to";
  ssize_t written = 0;
  do {
    written = ::write(fd.get(), data.data(), data.size());
  } while (written < 0 && errno == EINTR);
  if (written < 0) return failed(errno, operation, path);
  if (static_cast<std::size_t>(written) != data.size()) {
    return Error(ErrorCode::kIo,
                 operation + " " + path + ": only " + std::to_string(written) + " bytes taken");
  }
  return {};
}

Result<void> RootedFilesystem::replaceFile(const std::string& path, std::string_view data,
                                           mode_t mode) {
  static std::atomic<unsigned> counter{0};  // makes temporary names differ between threads
  std::string name;
  RAILHEAD_TRY_ASSIGN(const UniqueFd directory, openParent(path, name));
  const std::string temporary =
      "." + name + ".tmp" + std::to_string(::getpid()) + "." + std::to_string(counter.fetch_add(1));
  UniqueFd fd(
      ::openat(directory.get(), temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  if (!fd) return failed(errno, "create a temporary file beside", path);
  const auto finish = [&]() -> Result<void> {
    RAILHEAD_TRY(writeAll(fd.get(), data, path));
    if (::fchmod(fd.get(), mode) != 0 || ::fsync(fd.get()) != 0)
      return failed(errno, "write", path);
    if (::renameat(directory.get(), temporary.c_str(), directory.get(), name.c_str()) != 0) {
      return failed(errno, "rename a temporary file to", path);
    }
    return {};
  };
  auto done = finish();
  if (!done.has_value()) ::unlinkat(directory.get(), temporary.c_str(), 0);
  return done;
}

Result<std::string> RootedFilesystem::readLink(const std::string& path) {
  std::string name;
  RAILHEAD_TRY_ASSIGN(const UniqueFd directory, openParent(path, name));
  char target[PATH_MAX];
  const ssize_t length = ::readlinkat(directory.get(), name.c_str(), target, sizeof target);
  if (length < 0) return failed(errno, "read link", path);
  return std::string(target, static_cast<std::size_t>(length));
}

Result<std::vector<std::string>> RootedFilesystem::listDirectory(const std::string& path) {
  RAILHEAD_TRY_ASSIGN(UniqueFd fd, openInside(path, O_RDONLY | O_DIRECTORY));
  DIR* stream = ::fdopendir(fd.get());
  if (stream == nullptr) return failed(errno, "list", path);
  fd.release();  // closedir closes it
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(stream)) {  // NOLINT(concurrency-mt-unsafe): own stream
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  const int failure = errno;
  ::closedir(stream);
  if (failure != 0) return failed(failure, "list", path);
  std::sort(names.begin(), names.end());
  return names;
}

Result<FileStatus> RootedFilesystem::status(const std::string& path) {
  RAILHEAD_TRY_ASSIGN(const UniqueFd fd, openInside(path, O_PATH));
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return failed(errno, "stat", path);
  return FileStatus{kindOf(info.st_mode), static_cast<std::uint64_t>(info.st_size), info.st_rdev,
                    info.st_ino, info.st_dev};
}

Result<void> RootedFilesystem::makeDirectories(const std::string& path, mode_t mode) {
  std::string at;
  for (const auto part : split(path, '/')) {
    if (part.empty()) continue;
    at += "/" + std::string(part);
    if (exists(at)) continue;
    std::string name;
    RAILHEAD_TRY_ASSIGN(const UniqueFd parent, openParent(at, name));
    if (::mkdirat(parent.get(), name.c_str(), mode) != 0 && errno != EEXIST) {
      return failed(errno, "make directory", at);
    }
  }
  return {};
}

Result<void> RootedFilesystem::remove(const std::string& path) {
  std::string name;
  auto parent = openParent(path, name);
  if (!parent.has_value()) {
    if (parent.error().code == ErrorCode::kNotFound) return {};
    return std::move(parent).error();
  }
  if (::unlinkat(parent->get(), name.c_str(), 0) == 0 || errno == ENOENT) return {};
  if (errno == EISDIR || errno == EPERM) {
    if (::unlinkat(parent->get(), name.c_str(), AT_REMOVEDIR) == 0) return {};
  }
  return failed(errno, "remove", path);
}

Result<void> RootedFilesystem::rename(const std::string& from, const std::string& to) {
  std::string fromName;
  std::string toName;
  RAILHEAD_TRY_ASSIGN(const UniqueFd fromParent, openParent(from, fromName));
  RAILHEAD_TRY_ASSIGN(const UniqueFd toParent, openParent(to, toName));
  if (::renameat(fromParent.get(), fromName.c_str(), toParent.get(), toName.c_str()) != 0) {
    return failed(errno, "rename " + from + " to", to);
  }
  return {};
}

Result<void> RootedFilesystem::makeSymlink(const std::string& target, const std::string& path) {
  std::string name;
  RAILHEAD_TRY_ASSIGN(const UniqueFd parent, openParent(path, name));
  if (::symlinkat(target.c_str(), parent.get(), name.c_str()) != 0)
    return failed(errno, "make link", path);
  return {};
}

}  // namespace railhead::os
