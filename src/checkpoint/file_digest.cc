#include "src/checkpoint/file_digest.h"

#include "src/base/text.h"
#include "src/digest/sha256.h"
#include "src/os/unique_fd.h"

#include <cerrno>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace railhead::checkpoint {

Result<FileDigest> digestOf(const std::string& path) {
  const os::UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return Error::fromErrno(errno, "open " + path);
  struct stat about {};
  if (::fstat(fd.get(), &about) != 0) return Error::fromErrno(errno, "look at " + path);
  if (!S_ISREG(about.st_mode)) {
    return Error(ErrorCode::kInvalidArgument, inQuotes(path, 256) + " is no ordinary file");
  }
  digest::Sha256 hash;
  FileDigest out;
  std::vector<char> chunk(1 << 20);
  for (;;) {
    const ssize_t got = ::read(fd.get(), chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error::fromErrno(errno, "read " + path);
    if (got == 0) break;
    out.bytes += static_cast<std::uint64_t>(got);
    hash.add({chunk.data(), static_cast<std::size_t>(got)});
  }
  out.sha256 = hash.hex();
  return out;
}

}  // namespace railhead::checkpoint
