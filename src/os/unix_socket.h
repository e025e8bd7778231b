// Unix stream sockets with deadlines, for one request and one answer per connection. Used by the
// CNI shim, so it depends on libc alone.
#pragma once

#include "src/base/result.h"
#include "src/os/unique_fd.h"

#include <chrono>
#include <string>
#include <string_view>

#include <sys/types.h>

namespace railhead::os {

using Deadline = std::chrono::steady_clock::time_point;

Result<UniqueFd> connectUnix(const std::string& path, Deadline deadline);
// Replaces a stale socket file; the file is created with `mode`, never wider for a moment.
Result<UniqueFd> listenUnix(const std::string& path, mode_t mode = 0600, int backlog = 64);

// Frames: 4-byte little-endian length, then that many bytes; at most `maxBytes`.
Result<void> sendFrame(int fd, std::string_view payload, Deadline deadline);
Result<std::string> receiveFrame(int fd, Deadline deadline, std::size_t maxBytes = 1 << 20);

struct PeerCredentials {
  pid_t pid = 0;
  uid_t uid = 0;
};
Result<PeerCredentials> peerCredentials(int fd);

}  // namespace railhead::os
