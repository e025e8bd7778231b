#include "src/kube/plugin_socket.h"

#include "src/os/unix_socket.h"

#include <cerrno>
#include <chrono>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace railhead::kube {

PluginSocket::Standing PluginSocket::standing() const {
  struct stat info {};
  if (::lstat(path_.c_str(), &info) != 0) return Standing::kAbsent;
  if (listener_ && info.st_ino == inode_ && info.st_dev == device_) return Standing::kOurs;
  const auto probe =
      os::connectUnix(path_, std::chrono::steady_clock::now() + std::chrono::milliseconds(100));
  // A full backlog is a living process too.
  const bool alive = probe.has_value() || probe.error().code == ErrorCode::kDeadlineExceeded;
  return alive ? Standing::kTaken : Standing::kAbsent;
}

Result<void> PluginSocket::listen() {
  listener_.reset();
  RAILHEAD_TRY_ASSIGN(listener_, os::listenUnix(path_, 0600, 16));
  struct stat info {};
  if (::lstat(path_.c_str(), &info) != 0) {
    const Error error = Error::fromErrno(errno, "stat " + path_);
    listener_.reset();
    return error;
  }
  inode_ = info.st_ino;
  device_ = info.st_dev;
  ::fcntl(listener_.get(), F_SETFL, ::fcntl(listener_.get(), F_GETFL) | O_NONBLOCK);
  return {};
}

Result<std::optional<os::UniqueFd>> PluginSocket::accept() const {
  if (!listener_) return std::optional<os::UniqueFd>();
  os::UniqueFd connection(
      ::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (connection) return std::optional<os::UniqueFd>(std::move(connection));
  // ECONNABORTED and EINTR: that one is gone, poll tells of the next.
  if (errno == EAGAIN || errno == ECONNABORTED || errno == EINTR) {
    return std::optional<os::UniqueFd>();
  }
  return Error::fromErrno(errno, "accept on " + path_);
}

void PluginSocket::close() {
  if (!listener_) return;
  struct stat info {};
  if (::lstat(path_.c_str(), &info) == 0 && info.st_ino == inode_ && info.st_dev == device_) {
    ::unlink(path_.c_str());
  }
  listener_.reset();
}

}  // namespace railhead::kube
