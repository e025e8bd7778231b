// The SHA-256 of files of any size, read in parts.
#pragma once

#include "src/base/result.h"

#include <cstdint>
#include <string>

namespace railhead::checkpoint {

struct FileDigest {
  std::uint64_t bytes = 0;
  std::string sha256;  // 64 lower-case hexadecimal digits
};

// kNotFound, kPermissionDenied, kIo; kInvalidArgument: it is no ordinary file.
Result<FileDigest> digestOf(const std::string& path);

}  // namespace railhead::checkpoint
