#include "src/os/descriptor_passing.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <string>

#include <poll.h>
#include <sys/socket.h>

namespace railhead::os {
namespace {

constexpr char kMark = 'd';  // a message without data carries no files

union Control {
  cmsghdr alignment;
  std::array<char, CMSG_SPACE(kMaxPassed * sizeof(int))> bytes;
};

Result<void> await(int socket, short events, Deadline deadline, const char* doing) {
  for (;;) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) {
      return Error(ErrorCode::kDeadlineExceeded,
                   std::string(doing) + ": no answer before the deadline");
    }
    pollfd ready{socket, events, 0};
    const int got = ::poll(&ready, 1, static_cast<int>(std::min<long long>(left.count(), 60'000)));
    if (got > 0) return {};
    if (got < 0 && errno != EINTR) return Error::fromErrno(errno, doing);
  }
}

void takeFiles(msghdr& message, std::vector<UniqueFd>& files) {
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr;
       part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof fd);
      files.emplace_back(fd);
    }
  }
}

}  // namespace

Result<void> sendDescriptors(int socket, const std::vector<UniqueFd>& files, Deadline deadline) {
  if (files.size() > kMaxPassed) {
    return Error(ErrorCode::kInvalidArgument, "hand files over: " + std::to_string(files.size()) +
                                                  ", at most " + std::to_string(kMaxPassed) +
                                                  " are allowed");
  }
  char mark = kMark;
  iovec data{&mark, 1};
  Control control{};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  if (!files.empty()) {
    message.msg_control = control.bytes.data();
    message.msg_controllen = CMSG_SPACE(files.size() * sizeof(int));
    cmsghdr* part = CMSG_FIRSTHDR(&message);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(files.size() * sizeof(int));
    for (std::size_t i = 0; i < files.size(); ++i) {
      const int fd = files[i].get();
      std::memcpy(CMSG_DATA(part) + i * sizeof(int), &fd, sizeof fd);
    }
  }
  for (;;) {
    const ssize_t sent = ::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent == 1) return {};
    if (sent < 0 && errno == EAGAIN) {
      RAILHEAD_TRY(await(socket, POLLOUT, deadline, "hand files over"));
    } else if (sent < 0 && errno != EINTR) {
      return Error::fromErrno(errno, "hand files over");
    }
  }
}

Result<std::vector<UniqueFd>> receiveDescriptors(int socket, Deadline deadline) {
  for (;;) {
    RAILHEAD_TRY(await(socket, POLLIN, deadline, "take files over"));
    char mark = 0;
    iovec data{&mark, 1};
    Control control{};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control.bytes.data();
    message.msg_controllen = control.bytes.size();
    const ssize_t got = ::recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (got < 0) return Error::fromErrno(errno, "take files over");
    std::vector<UniqueFd> files;
    takeFiles(message, files);
    if (got == 0)
      return Error(ErrorCode::kUnavailable, "take files over: the peer closed the connection");
    if (mark != kMark || (message.msg_flags & MSG_CTRUNC) != 0)
      return Error(ErrorCode::kCorrupt, "take files over: something else came, or too many");
    return files;
  }
}

}  // namespace railhead::os
