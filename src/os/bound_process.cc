#include "src/os/bound_process.h"

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace railhead::os {
namespace {

constexpr std::chrono::milliseconds kLook{1};

// Once it has ended: true. False: it has not until then.
bool reapUntil(pid_t pid, int pidFd, std::chrono::steady_clock::time_point limit) {
  for (;;) {
    int status = 0;
    const pid_t done = ::waitpid(pid, &status, WNOHANG);
    if (done == pid || (done < 0 && errno != EINTR)) return true;
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(limit - std::chrono::steady_clock::now());
    if (left.count() <= 0) return false;
    pollfd ending{pidFd, POLLIN, 0};
    ::poll(&ending, 1, static_cast<int>((pidFd < 0 ? kLook : left).count()));
  }
}

// Made before fork: afterwards the child may only make async-signal-safe calls.
struct ChildPlan {
  std::vector<char*> argv;
  std::vector<std::string> environmentText;
  std::vector<char*> environment;  // empty: inherited
  std::vector<int> inherited;
  int input = -1;
  int output = -1;
  int errors = -1;
  int failure = -1;
  pid_t parent = 0;
  bool diesWithParent = true;
  bool ownSession = false;
};

[[noreturn]] void giveUp(const ChildPlan& plan) {
  const int why = errno;
  [[maybe_unused]] const ssize_t told = ::write(plan.failure, &why, sizeof why);
  ::_exit(127);
}

[[noreturn]] void becomeChild(const ChildPlan& plan) {
  if (plan.ownSession) ::setsid();
  if (plan.diesWithParent) {
    if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) giveUp(plan);
    if (::getppid() != plan.parent) ::_exit(127);  // it went before the line above
  }
  ::dup2(plan.input, STDIN_FILENO);
  ::dup2(plan.output, STDOUT_FILENO);
  ::dup2(plan.errors, STDERR_FILENO);
  // Everything above standard error goes at exec, whoever forgot to say so, but for what is named.
  ::syscall(SYS_close_range, 3U, ~0U, 4U /* CLOSE_RANGE_CLOEXEC */);
  for (const int fd : plan.inherited) {
    if (::fcntl(fd, F_SETFD, 0) != 0) giveUp(plan);
  }
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  // What our programs ignore a program of others need not expect.
  for (const int signal : {SIGPIPE, SIGXFSZ}) ::signal(signal, SIG_DFL);
  if (plan.environment.empty()) {
    ::execvp(plan.argv[0], plan.argv.data());
  } else {
    ::execvpe(plan.argv[0], plan.argv.data(), plan.environment.data());
  }
  giveUp(plan);
}

}  // namespace

Result<BoundProcess> BoundProcess::start(const BoundProcessSpec& spec,
                                         const std::string& nullDevice) {
  const UniqueFd nowhere(::open(nullDevice.c_str(), O_RDWR | O_CLOEXEC));
  if (!nowhere) return Error::fromErrno(errno, "open " + nullDevice);
  std::array<int, 2> failure{};
  if (::pipe2(failure.data(), O_CLOEXEC) != 0) return Error::fromErrno(errno, "make a pipe");
  const UniqueFd failureRead(failure[0]);
  UniqueFd failureWrite(failure[1]);

  ChildPlan plan;
  for (const auto& text : spec.argv) plan.argv.push_back(const_cast<char*>(text.c_str()));
  plan.argv.push_back(nullptr);
  plan.inherited = spec.inherited;
  if (spec.environment) {
    for (const auto& [name, value] : *spec.environment)
      plan.environmentText.push_back(name + "=" + value);
    for (auto& text : plan.environmentText) plan.environment.push_back(text.data());
    plan.environment.push_back(nullptr);
  }
  plan.input = spec.input >= 0 ? spec.input : nowhere.get();
  plan.output = spec.output >= 0 ? spec.output : nowhere.get();
  plan.errors = spec.errors >= 0 ? spec.errors : plan.output;
  plan.failure = failureWrite.get();
  plan.parent = ::getpid();
  plan.diesWithParent = spec.diesWithParent;
  plan.ownSession = spec.ownSession;

  const pid_t pid = ::fork();
  if (pid < 0) return Error::fromErrno(errno, "start " + spec.argv[0]);
  if (pid == 0) becomeChild(plan);
  failureWrite.reset();
  BoundProcess process(pid, UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0U))),
                       spec.ownSession);
  int why = 0;
  ssize_t got = 0;
  do {
    got = ::read(failureRead.get(), &why, sizeof why);
  } while (got < 0 && errno == EINTR);
  if (got == sizeof why) return Error::fromErrno(why, "start " + spec.argv[0]);
  if (!process.pidFd_) return Error::fromErrno(errno, "watch " + spec.argv[0]);
  return process;
}

BoundProcess::BoundProcess(BoundProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      pidFd_(std::move(other.pidFd_)),
      ownSession_(other.ownSession_),
      ended_(std::move(other.ended_)),
      exitCode_(other.exitCode_) {}

BoundProcess& BoundProcess::operator=(BoundProcess&& other) noexcept {
  if (this != &other) {
    kill();
    pid_ = std::exchange(other.pid_, -1);
    pidFd_ = std::move(other.pidFd_);
    ownSession_ = other.ownSession_;
    ended_ = std::move(other.ended_);
    exitCode_ = other.exitCode_;
  }
  return *this;
}

BoundProcess::~BoundProcess() { kill(); }

std::optional<std::string> BoundProcess::ended() {
  if (ended_ || pid_ < 0) return ended_;
  siginfo_t seen{};
  const bool ours =
      ::waitid(P_PID, static_cast<id_t>(pid_), &seen, WEXITED | WNOHANG | WNOWAIT) == 0;
  if (ours && seen.si_pid == 0) return std::nullopt;
  // Until it is reaped nobody else can have the session's number.
  if (ours) signal(SIGKILL);
  int status = 0;
  pid_t done = 0;
  do {
    done = ::waitpid(pid_, &status, 0);
  } while (done < 0 && errno == EINTR);
  if (done < 0) {
    ended_ = "an unknown end";
  } else if (WIFSIGNALED(status)) {
    ended_ = "signal " + std::to_string(WTERMSIG(status));
    exitCode_ = 128 + WTERMSIG(status);
  } else {
    ended_ = "exit code " + std::to_string(WEXITSTATUS(status));
    exitCode_ = WEXITSTATUS(status);
  }
  return ended_;
}

void BoundProcess::kill(std::chrono::steady_clock::time_point limit) {
  if (pid_ < 0 || ended_) return;
  signal(SIGKILL);
  // One that the kernel holds fast (a device that is gone) ends when it lets go.
  ended_ = reapUntil(pid_, pidFd_.get(), limit) ? "signal 9" : "no end after signal 9";
  exitCode_ = 128 + SIGKILL;
}

void BoundProcess::signal(int number) {
  if (pid_ < 0 || ended_) return;
  ::kill(ownSession_ ? -pid_ : pid_, number);
}

void BoundProcess::release() {
  pid_ = -1;
  pidFd_.reset();
}

}  // namespace railhead::os
