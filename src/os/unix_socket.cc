#include "src/os/unix_socket.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <span>

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace railhead::os {

static_assert(kMaxUnixPath == sizeof sockaddr_un::sun_path - 1);

Result<sockaddr_un> unixAddress(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() > kMaxUnixPath) {
    return Error(ErrorCode::kInvalidArgument,
                 "socket path '" + path + "' has " + std::to_string(path.size()) + " bytes: 1 to " +
                     std::to_string(kMaxUnixPath) + " are allowed",
                 "choose a shorter directory");
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

namespace {

// Waits until `events` or the deadline.
Result<void> waitFor(int fd, short events, Deadline deadline, std::string_view doing) {
  for (;;) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) {
      return Error(ErrorCode::kDeadlineExceeded,
                   std::string(doing) + ": no answer before the deadline");
    }
    pollfd poller{fd, events, 0};
    const int ready =
        ::poll(&poller, 1, static_cast<int>(std::min<long long>(left.count(), 60000)));
    if (ready > 0) return {};
    if (ready < 0 && errno != EINTR) return Error::fromErrno(errno, doing);
  }
}

Result<void> sendAll(int fd, std::string_view data, Deadline deadline) {
  while (!data.empty()) {
    const ssize_t sent = ::send(fd, data.data(), data.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) {
      data.remove_prefix(static_cast<std::size_t>(sent));
    } else if (errno == EAGAIN) {
      RAILHEAD_TRY(waitFor(fd, POLLOUT, deadline, "send"));
    } else if (errno != EINTR) {
      return Error::fromErrno(errno, "send");
    }
  }
  return {};
}

Result<void> receiveAll(int fd, std::span<char> into, Deadline deadline) {
  while (!into.empty()) {
    const ssize_t got = ::recv(fd, into.data(), into.size(), MSG_DONTWAIT);
    if (got > 0) {
      into = into.subspan(static_cast<std::size_t>(got));
    } else if (got == 0) {
      return Error(ErrorCode::kUnavailable, "receive: the peer closed the connection");
    } else if (errno == EAGAIN) {
      RAILHEAD_TRY(waitFor(fd, POLLIN, deadline, "receive"));
    } else if (errno != EINTR) {
      return Error::fromErrno(errno, "receive");
    }
  }
  return {};
}

}  // namespace

Result<UniqueFd> connectUnix(const std::string& path, Deadline deadline) {
  RAILHEAD_TRY_ASSIGN(const sockaddr_un address, unixAddress(path));
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return Error::fromErrno(errno, "make a unix socket");
  // A full backlog makes a unix connect block; SO_SNDTIMEO bounds that wait.
  const auto left =
      std::chrono::ceil<std::chrono::microseconds>(deadline - std::chrono::steady_clock::now())
          .count();
  if (left <= 0)
    return Error(ErrorCode::kDeadlineExceeded, "connect to " + path + ": no time left");
  const timeval timeout{left / 1000000, left % 1000000};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return Error::fromErrno(errno == EINPROGRESS ? ETIMEDOUT : errno, "connect to " + path);
  }
  return fd;
}

bool isListening(const std::string& path) {
  constexpr std::chrono::milliseconds kProbe{100};
  const auto probe = connectUnix(path, std::chrono::steady_clock::now() + kProbe);
  if (probe.has_value()) return true;
  const int reason = probe.error().errnoValue;
  return reason != ECONNREFUSED && reason != ENOENT;
}

Result<void> sendFrame(int fd, std::string_view payload, Deadline deadline) {
  const auto size = static_cast<std::uint32_t>(payload.size());
  std::string frame(4, '\0');
  for (int i = 0; i < 4; ++i)
    frame[static_cast<std::size_t>(i)] = static_cast<char>(size >> (8 * i));
  frame += payload;
  return sendAll(fd, frame, deadline);
}

Result<std::string> receiveFrame(int fd, Deadline deadline, std::size_t maxBytes) {
  std::array<char, 4> header{};
  RAILHEAD_TRY(receiveAll(fd, header, deadline));
  std::uint32_t size = 0;
  for (std::size_t i = 0; i < 4; ++i)
    size |= static_cast<std::uint32_t>(static_cast<unsigned char>(header[i])) << (8 * i);
  if (size > maxBytes) {
    return Error(ErrorCode::kCorrupt, "receive: a frame of " + std::to_string(size) + " bytes, " +
                                          std::to_string(maxBytes) + " are allowed");
  }
  std::string payload(size, '\0');
  RAILHEAD_TRY(receiveAll(fd, payload, deadline));
  return payload;
}

bool hungUp(int fd) {
  pollfd poller{fd, POLLRDHUP, 0};
  return ::poll(&poller, 1, 0) > 0 && (poller.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

Result<PeerCredentials> peerCredentials(int fd) {
  ucred credentials{};
  socklen_t length = sizeof credentials;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) {
    return Error::fromErrno(errno, "read the peer's credentials");
  }
  return PeerCredentials{credentials.pid, credentials.uid};
}

}  // namespace railhead::os
