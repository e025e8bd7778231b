#include "src/os/unix_listener.h"

#include "src/os/unix_socket.h"

#include <array>
#include <cerrno>
#include <ctime>
#include <filesystem>
#include <system_error>

#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace railhead::os {
namespace {

constexpr int kRounds = 4;  // against others who make and remove files here
constexpr int kAcceptPauseMs = 50;

// Names of drafts, beginning with a dot: those who watch the folder pass over them. Random rather
// than from process ids, which agents in two containers may share.
constexpr std::string_view kDraftPrefix = ".new";
constexpr std::size_t kDraftSuffix = 4;
constexpr int kDrafts = 64;  // tries to find a free one
// A draft lives for microseconds. Should a process be stopped in the middle for so long, it finds
// its draft gone and makes another.
constexpr std::time_t kDraftIsStaleAfter = 60;  // seconds

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
  if (isListening(path)) {
    return Error(ErrorCode::kBusy, "another process listens on " + path, "end that process first");
  }
  struct stat now {};
  if (::lstat(path.c_str(), &now) != 0 || now.st_dev != info.st_dev || now.st_ino != info.st_ino)
    return {};
  if (::unlink(path.c_str()) != 0 && errno != ENOENT)
    return Error::fromErrno(errno, "remove the socket " + path + " that a dead process left");
  return {};
}

std::string folderOf(const std::string& path) { return path.substr(0, path.rfind('/') + 1); }

std::string draftName() {
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz234567";
  std::array<unsigned char, kDraftSuffix> random{};
  static_cast<void>(::getrandom(random.data(), random.size(), 0));
  std::string name(kDraftPrefix);
  for (const unsigned char byte : random) name += kLetters[byte % kLetters.size()];
  return name;
}

// Drafts of processes that were killed before they could put them in place.
void removeStaleDrafts(const std::string& path) {
  namespace fs = std::filesystem;
  const std::string folder = folderOf(path);
  std::error_code failed;
  for (fs::directory_iterator each(folder.empty() ? "." : folder, failed), end;
       !failed && each != end; each.increment(failed)) {
    const std::string name = each->path().filename().string();
    if (name.size() != kDraftPrefix.size() + kDraftSuffix || !name.starts_with(kDraftPrefix))
      continue;
    struct stat info {};
    const std::string draft = folder + name;
    const bool stale = ::lstat(draft.c_str(), &info) == 0 && S_ISSOCK(info.st_mode) &&
                       info.st_mtime + kDraftIsStaleAfter < std::time(nullptr);
    if (stale && !isListening(draft)) ::unlink(draft.c_str());
  }
}

// In the folder of `path`.
Result<Draft> makeDraft(const std::string& path, int backlog) {
  const std::string folder = folderOf(path);
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return Error::fromErrno(errno, "make a unix socket");
  int bound = -1;
  std::string name;
  for (int i = 0; i < kDrafts && bound != 0; ++i) {
    name = folder + draftName();
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
bool putInPlace(Draft& draft, const std::string& path, bool displace) {
  if (!displace) return ::link(draft.path.c_str(), path.c_str()) == 0;
  if (::rename(draft.path.c_str(), path.c_str()) != 0) return false;
  draft.path.clear();  // no longer ours to remove: another may have it by now
  return true;
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
  removeStaleDrafts(path);
  int reason = 0;
  for (int round = 0; round < kRounds; ++round) {
    RAILHEAD_TRY(makeWay(path, options.displace));
    auto draft = makeDraft(path, options.backlog);
    struct stat info {};
    if (draft.has_value() && ::lstat(draft->path.c_str(), &info) == 0 &&
        putInPlace(*draft, path, options.displace)) {
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

std::optional<UniqueFd> UnixListener::acceptUntil(int stop) const {
  for (;;) {
    std::array<pollfd, 2> ready{{{fd_.get(), POLLIN, 0}, {stop, POLLIN, 0}}};
    if (::poll(ready.data(), ready.size(), -1) < 0) {
      if (errno == EINTR) continue;
      return std::nullopt;
    }
    if (ready[1].revents != 0) return std::nullopt;
    auto connection = accept();
    // It waits in the backlog; do not spin on it.
    if (!connection.has_value()) {
      ::poll(&ready[1], 1, kAcceptPauseMs);
    } else if (*connection) {
      return std::move(*connection);
    }
  }
}

void UnixListener::close() {
  if (isInPlace()) ::unlink(path_.c_str());
  fd_.reset();
}

}  // namespace railhead::os
