#include "src/os/unix_listener.h"

#include "src/os/unix_socket.h"

#include <cerrno>
#include <chrono>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace railhead::os {
namespace {

constexpr std::chrono::milliseconds kProbe{100};
constexpr int kDrafts = 64;
constexpr int kRounds = 4;  // against others who make and remove files here

// A socket that listens under a name for the moment; the name is removed in the end.
struct Draft {
  UniqueFd fd;
  std::string path;

  Draft(UniqueFd socket, std::string name) : fd(std::move(socket)), path(std::move(name)) {}
  Draft(Draft&& other) noexcept : fd(std::move(other.fd)), path(std::move(other.path)) {
    other.path.clear();
  }
  Draft& operator=(Draft&&) = delete;
  ~Draft() {
    if (!path.empty()) ::unlink(path.c_str());
  }
};

// Whether a process is behind the socket. Only a refusal tells that there is none.
bool isAlive(const std::string& path) {
  const auto probe = connectUnix(path, std::chrono::steady_clock::now() + kProbe);
  if (probe.has_value()) return true;
  const int reason = probe.error().errnoValue;
  return reason != ECONNREFUSED && reason != ENOENT;
}

// Sees to it that nothing stands at `path` that must not be replaced.
Result<void> makeWay(const std::string& path, bool displace) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return {};
    return Error::fromErrno(errno, "look at " + path);
  }
  if (!S_ISSOCK(info.st_mode)) {
    return Error(ErrorCode::kAlreadyExists, "listen on " + path + ": it exists and is no socket",
                 "remove it, or choose another path");
  }
  if (displace) return {};
  if (isAlive(path)) {
    return Error(ErrorCode::kBusy, "another process listens on " + path, "end that process first");
  }
  struct stat now {};
  if (::lstat(path.c_str(), &now) != 0 || now.st_dev != info.st_dev || now.st_ino != info.st_ino)
    return {};
  if (::unlink(path.c_str()) != 0 && errno != ENOENT)
    return Error::fromErrno(errno, "remove the socket " + path + " that a dead process left");
  return {};
}

// In the folder of `path`, beginning with a dot: those who watch the folder pass over it.
Result<Draft> makeDraft(const std::string& path, int backlog) {
  const std::string folder = path.substr(0, path.rfind('/') + 1);
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return Error::fromErrno(errno, "make a unix socket");
  int bound = -1;
  std::string name;
  for (int i = 0; i < kDrafts && bound != 0; ++i) {
    name = folder + ".new" + std::to_string(i);
    RAILHEAD_TRY_ASSIGN(const sockaddr_un address, unixAddress(name));
    bound = ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    if (bound != 0 && errno != EADDRINUSE) break;
  }
  if (bound != 0) return Error::fromErrno(errno, "bind " + name);
  Draft draft(std::move(fd), name);
  // Before it listens: nobody can connect until then.
  if (::chmod(name.c_str(), 0600) != 0) return Error::fromErrno(errno, "set the mode of " + name);
  if (::listen(draft.fd.get(), backlog) != 0) return Error::fromErrno(errno, "listen on " + name);
  return draft;
}

// The name appears in one step: rename() takes it from whoever has it, link() only if it is free.
int putInPlace(const std::string& draft, const std::string& path, bool displace) {
  return displace ? ::rename(draft.c_str(), path.c_str()) : ::link(draft.c_str(), path.c_str());
}

}  // namespace

UnixListener& UnixListener::operator=(UnixListener&& other) noexcept {
  if (this == &other) return *this;
  close();
  path_ = std::move(other.path_);
  fd_ = std::move(other.fd_);
  device_ = other.device_;
  inode_ = other.inode_;
  return *this;
}

Result<UnixListener> UnixListener::open(const std::string& path, ListenOptions options) {
  RAILHEAD_TRY(unixAddress(path));
  int reason = 0;
  for (int round = 0; round < kRounds; ++round) {
    RAILHEAD_TRY(makeWay(path, options.displace));
    auto draft = makeDraft(path, options.backlog);
    struct stat info {};
    if (draft.has_value() && ::lstat(draft->path.c_str(), &info) == 0 &&
        putInPlace(draft->path, path, options.displace) == 0) {
      UnixListener listener;
      listener.path_ = path;
      listener.fd_ = std::move(draft->fd);
      listener.device_ = info.st_dev;
      listener.inode_ = info.st_ino;
      return listener;
    }
    reason = draft.has_value() ? errno : draft.error().errnoValue;
    // EEXIST: another was faster. ENOENT: somebody empties the folder (kubelet does, when it
    // starts), or the folder is not there.
    if (reason == EEXIST || reason == ENOENT) continue;
    if (!draft.has_value()) return std::move(draft).error();
    break;
  }
  return Error::fromErrno(reason, "listen on " + path);
}

bool UnixListener::isInPlace() const {
  struct stat info {};
  return fd_ && ::lstat(path_.c_str(), &info) == 0 && info.st_dev == device_ &&
         info.st_ino == inode_;
}

Result<std::optional<UniqueFd>> UnixListener::accept() const {
  if (!fd_) return std::optional<UniqueFd>();
  UniqueFd connection(::accept4(fd_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (connection) return std::optional<UniqueFd>(std::move(connection));
  // ECONNABORTED and EINTR: that one is gone, poll tells of the next.
  if (errno == EAGAIN || errno == ECONNABORTED || errno == EINTR) return std::optional<UniqueFd>();
  return Error::fromErrno(errno, "accept on " + path_);
}

void UnixListener::close() {
  if (isInPlace()) ::unlink(path_.c_str());
  fd_.reset();
}

}  // namespace railhead::os
