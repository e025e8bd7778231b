// Files that a user names on the command line: any path that opens, "/dev/stdin" and pipes too.
#pragma once

#include "src/base/result.h"

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace railhead::app {

// A file is written beside it and renamed: whole, or as it was; where a symbolic link points, the
// link stays. What is no file (a device, a pipe) is written into. kExhausted: the disk is full.
Result<void> writeText(const std::string& path, std::string_view text);
// kExhausted: more than `maxBytes`.
Result<std::string> readText(const std::string& path, std::size_t maxBytes);

// The same of a result, for --out and from it; with an end of line, at most 256 MiB.
Result<void> writeResult(const std::string& path, std::string_view text);
Result<std::string> readResult(const std::string& path);

// In pieces, for what need not be in memory at once; "-": standard input.
Result<void> readPieces(const std::string& path,
                        const std::function<Result<void>(std::string_view)>& take);

// Whether writeText() may work, before a long measurement: kNotFound, kPermissionDenied and the
// like name the option. Nothing when `path` is empty.
Result<void> checkOut(const std::string& path);

}  // namespace railhead::app
