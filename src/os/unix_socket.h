// Unix stream sockets with deadlines, for one request and one answer per connection. Used by the
// CNI shim, so it depends on libc alone.
#pragma once

#include "src/base/result.h"
#include "src/os/unique_fd.h"

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>

#include <sys/types.h>
#include <sys/un.h>

namespace railhead::os {

using Deadline = std::chrono::steady_clock::time_point;

inline constexpr std::size_t kMaxUnixPath = 107;  // bytes: sun_path less its terminator (unix(7))
Result<sockaddr_un> unixAddress(const std::string& path);  // kInvalidArgument: empty or longer

Result<UniqueFd> connectUnix(const std::string& path, Deadline deadline);
// Whether a process is behind the socket at `path`; asks for at most 100 ms. Only a refusal, or no
// file, tells that there is none: a full backlog is a living process, too.
bool isListening(const std::string& path);

// Frames: 4-byte little-endian length, then that many bytes; at most `maxBytes`.
Result<void> sendFrame(int fd, std::string_view payload, Deadline deadline);
Result<std::string> receiveFrame(int fd, Deadline deadline, std::size_t maxBytes = 1 << 20);

// Whether the peer has closed the connection. Never waits.
bool hungUp(int fd);

struct PeerCredentials {
  pid_t pid = 0;
  uid_t uid = 0;
};
Result<PeerCredentials> peerCredentials(int fd);

}  // namespace railhead::os
