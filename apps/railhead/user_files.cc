#include "apps/railhead/user_files.h"

#include "src/os/filesystem.h"
#include "src/os/unique_fd.h"

#include <array>
#include <cerrno>
#include <filesystem>
#include <memory>

#include <fcntl.h>
#include <unistd.h>

namespace railhead::app {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxResult = 256 << 20;
constexpr std::size_t kPiece = 1 << 16;

// Without links, of a file that may not be there yet.
Result<std::string> placeOf(const std::string& path) {
  std::error_code code;
  const auto full = fs::weakly_canonical(fs::absolute(path, code), code);
  if (code) return Error::fromErrno(code.value(), "find " + path);
  return full.string();
}

Error failed(int errnoValue, const std::string& what, const std::string& path) {
  return Error::fromErrno(errnoValue, what + " " + path);
}

Result<void> writeInto(const std::string& path, std::string_view text) {
  const os::UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY));
  if (!fd) return failed(errno, "open", path);
  while (!text.empty()) {
    const ssize_t put = ::write(fd.get(), text.data(), text.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return failed(errno, "write", path);
    text.remove_prefix(static_cast<std::size_t>(put));
  }
  return {};
}

bool isFileOrNothing(const std::string& path) {
  std::error_code code;
  const auto status = fs::status(path, code);
  return !fs::exists(status) || fs::is_regular_file(status) || fs::is_directory(status);
}

}  // namespace

Result<void> writeText(const std::string& path, std::string_view text) {
  if (!isFileOrNothing(path)) return writeInto(path, text);
  RAILHEAD_TRY_ASSIGN(const std::string place, placeOf(path));
  RAILHEAD_TRY_ASSIGN(const std::unique_ptr<os::Filesystem> files, os::RootedFilesystem::open("/"));
  return files->replaceFile(place, text);
}

Result<void> readPieces(const std::string& path,
                        const std::function<Result<void>(std::string_view)>& take) {
  const std::string name = path == "-" ? "/dev/stdin" : path;
  const os::UniqueFd fd(::open(name.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!fd) return failed(errno, "open", path);
  std::array<char, kPiece> piece{};
  for (;;) {
    const ssize_t got = ::read(fd.get(), piece.data(), piece.size());
    if (got == 0) return {};
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed(errno, "read", path);
    RAILHEAD_TRY(take({piece.data(), static_cast<std::size_t>(got)}));
  }
}

Result<std::string> readText(const std::string& path, std::size_t maxBytes) {
  std::string text;
  RAILHEAD_TRY(readPieces(path, [&](std::string_view piece) -> Result<void> {
    if (text.size() + piece.size() > maxBytes)
      return Error(ErrorCode::kExhausted, "read " + path + ": longer than the " +
                                              std::to_string(maxBytes) + " bytes allowed here");
    text += piece;
    return {};
  }));
  return text;
}

Result<void> writeResult(const std::string& path, std::string_view text) {
  return writeText(path, std::string(text) + "\n").addContext("--out");
}

Result<std::string> readResult(const std::string& path) { return readText(path, kMaxResult); }

Result<void> checkOut(const std::string& path) {
  if (path.empty()) return {};
  std::error_code code;
  if (fs::is_directory(path, code))
    return Error(ErrorCode::kInvalidArgument, "--out " + path + " is a folder",
                 "name a file in it");
  const std::string probed =
      isFileOrNothing(path) ? fs::path(fs::absolute(path, code)).parent_path().string() : path;
  if (::access(probed.c_str(), W_OK) == 0) return {};
  return failed(errno, "write into", probed).addContext("--out");
}

}  // namespace railhead::app
