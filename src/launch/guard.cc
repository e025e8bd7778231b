#include "src/launch/guard.h"

#include "src/base/text.h"
#include "src/os/bound_process.h"
#include "src/os/unique_fd.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <optional>
#include <set>

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

namespace railhead::launch {
namespace {

using GuardClock = std::chrono::steady_clock;
// A command that forks faster than it is killed ends at last by this process' own end.
constexpr std::chrono::seconds kClearing{20};
constexpr std::size_t kMaxStat = 4096;

// The parent's id in /proc/PID/stat: the second field behind the name, which is in parentheses and
// may hold anything.
pid_t parentOf(const std::string& statFile) {
  const os::UniqueFd fd(::open(statFile.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return -1;
  std::array<char, kMaxStat> text{};
  const ssize_t got = ::read(fd.get(), text.data(), text.size());
  if (got <= 0) return -1;
  const std::string_view line(text.data(), static_cast<std::size_t>(got));
  const auto end = line.rfind(')');
  if (end == std::string_view::npos || end + 4 >= line.size()) return -1;
  const auto rest = line.substr(end + 4);
  const auto parent = parseUnsigned(rest.substr(0, rest.find(' ')));
  return parent ? static_cast<pid_t>(*parent) : -1;
}

std::vector<pid_t> childrenHere(const std::string& proc) {
  std::vector<pid_t> out;
  DIR* stream = ::opendir(proc.c_str());
  if (stream == nullptr) return out;
  while (const dirent* entry = ::readdir(stream)) {  // NOLINT(concurrency-mt-unsafe): own stream
    const auto pid = parseUnsigned(entry->d_name);
    if (pid && parentOf(proc + "/" + entry->d_name + "/stat") == ::getpid())
      out.push_back(static_cast<pid_t>(*pid));
  }
  ::closedir(stream);
  return out;
}

constexpr int kLongestPause = 100;  // milliseconds

// Children of a killed child become ours, and are met at the next round.
void killAllThatIsLeft(const std::string& proc) {
  const auto limit = GuardClock::now() + kClearing;
  for (int pause = 1; GuardClock::now() < limit; pause = std::min(2 * pause, kLongestPause)) {
    const auto children = childrenHere(proc);
    for (const pid_t child : children) ::kill(child, SIGKILL);
    // One that the kernel holds fast does not hold up the others.
    for (const pid_t child : children) (void)::waitpid(child, nullptr, WNOHANG);
    if (children.empty() && ::waitpid(-1, nullptr, WNOHANG) < 0 && errno == ECHILD) return;
    ::poll(nullptr, 0, pause);
  }
}

constexpr pid_t kNobody = 0;

// Orphans that ended, up to the command, which is reaped elsewhere. False: no child is left.
bool reapOrphans(pid_t command) {
  for (;;) {
    siginfo_t about{};
    if (::waitid(P_ALL, 0, &about, WEXITED | WNOHANG | WNOWAIT) != 0) return false;
    if (about.si_pid == kNobody || about.si_pid == command) return true;
    ::waitpid(about.si_pid, nullptr, WNOHANG);
  }
}

sigset_t stopSignals() {
  sigset_t out;
  ::sigemptyset(&out);
  for (const int one : {SIGTERM, SIGINT, SIGHUP, SIGCHLD}) ::sigaddset(&out, one);
  return out;
}

class Guard {
 public:
  Guard(const GuardedCommand& command, os::BoundProcess process, os::UniqueFd signals,
        const std::string& proc)
      : command_(command),
        process_(std::move(process)),
        signals_(std::move(signals)),
        proc_(proc) {}

  int watch() {
    while (!process_.ended()) {
      wait();
      reapOrphans(process_.pid());
      if (killBy_ && GuardClock::now() >= *killBy_) process_.kill();
    }
    if (killBy_) stopWhatItLeft();
    return process_.exitCode().value_or(128 + SIGKILL);
  }

 private:
  void wait() {
    std::array<pollfd, 3> fds{
        {{process_.exitCode() ? -1 : process_.pidFd(), POLLIN, 0},
         {signals_.get(), POLLIN, 0},
         {command_.untilInputEnds && !killBy_ ? STDIN_FILENO : -1, POLLIN, 0}}};
    ::poll(fds.data(), fds.size(), untilKill());
    if (fds[1].revents != 0) takeSignals();
    if (fds[2].revents != 0) takeInput();
  }
  int untilKill() const {
    if (!killBy_) return -1;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(*killBy_ - GuardClock::now());
    return static_cast<int>(std::max<long long>(0, left.count()));
  }
  void takeSignals() {
    signalfd_siginfo about{};
    while (::read(signals_.get(), &about, sizeof about) == sizeof about) {
      if (about.ssi_signo != SIGCHLD) stop();
    }
  }
  // Nobody says anything there: what is to be seen is its end.
  void takeInput() {
    std::array<char, 4096> chunk{};
    const ssize_t got = ::read(STDIN_FILENO, chunk.data(), chunk.size());
    if (got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN)) stop();
  }
  void stop() {
    if (killBy_) return;
    process_.signal(SIGTERM);
    killBy_ = GuardClock::now() + command_.grace;
  }
  // Not before: a trainer that is told ends its workers itself, and needs them while it saves. What
  // a shell leaves is told here.
  void stopWhatItLeft() {
    std::set<pid_t> told;
    while (GuardClock::now() < *killBy_ && reapOrphans(kNobody)) {
      for (const pid_t child : childrenHere(proc_)) {
        if (told.insert(child).second) ::kill(child, SIGTERM);
      }
      wait();
    }
  }

  const GuardedCommand& command_;
  os::BoundProcess process_;
  os::UniqueFd signals_;
  const std::string& proc_;
  std::optional<GuardClock::time_point> killBy_;
};

}  // namespace

Result<int> runGuarded(const GuardedCommand& command, const std::string& proc,
                       const std::string& nullDevice) {
  if (command.argv.empty()) return Error(ErrorCode::kInvalidArgument, "run a command: none given");
  if (!command.folder.empty() && ::chdir(command.folder.c_str()) != 0)
    return Error::fromErrno(errno, "go to " + command.folder);
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
    return Error::fromErrno(errno, "become the parent of orphans");
  const sigset_t stops = stopSignals();
  ::sigprocmask(SIG_BLOCK, &stops, nullptr);
  os::UniqueFd signals(::signalfd(-1, &stops, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals) return Error::fromErrno(errno, "listen for signals");
  os::BoundProcessSpec spec;
  spec.argv = command.argv;
  // One stream, so that lines stay in their order.
  spec.output = STDERR_FILENO;
  spec.errors = STDERR_FILENO;
  RAILHEAD_TRY_ASSIGN(auto process, os::BoundProcess::start(spec, nullDevice));
  const int code = Guard(command, std::move(process), std::move(signals), proc).watch();
  killAllThatIsLeft(proc);
  return code;
}

}  // namespace railhead::launch
