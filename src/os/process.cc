#include "src/os/process.h"

#include "src/os/unique_fd.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

namespace railhead::os {
namespace {

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};

Result<Pipe> makePipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return Error::fromErrno(errno, "make a pipe");
  return Pipe{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

// Holds SIGPIPE back in this thread and takes it when it came: whoever runs programs need not know
// that one may end before it has read its input.
class BrokenPipesHeld {
 public:
  BrokenPipesHeld() {
    ::sigemptyset(&broken_);
    ::sigaddset(&broken_, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &broken_, &before_);
  }
  ~BrokenPipesHeld() {
    const timespec now{};
    // One that was blocked before is the caller's.
    if (::sigismember(&before_, SIGPIPE) == 0) ::sigtimedwait(&broken_, nullptr, &now);
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  BrokenPipesHeld(const BrokenPipesHeld&) = delete;
  BrokenPipesHeld& operator=(const BrokenPipesHeld&) = delete;

 private:
  sigset_t broken_;
  sigset_t before_;
};

// Everything the child needs, made before fork: after it only async-signal-safe calls are allowed.
struct ChildPlan {
  std::vector<std::string> environmentText;
  std::vector<char*> argv;
  std::vector<char*> environment;
  bool inherit = true;
  bool opensSysctls = false;
};

constexpr const char* kSysctls = "/proc/sys";

bool areReadOnly(const char* path) {
  struct statvfs about {};
  return ::statvfs(path, &about) == 0 && (about.f_flag & ST_RDONLY) != 0;
}

ChildPlan planChild(const ProcessSpec& spec) {
  ChildPlan plan;
  for (const auto& argument : spec.argv) plan.argv.push_back(const_cast<char*>(argument.c_str()));
  plan.argv.push_back(nullptr);
  plan.opensSysctls = spec.writableSysctls && areReadOnly(kSysctls);
  if (spec.environment) {
    plan.inherit = false;
    for (const auto& [name, value] : *spec.environment)
      plan.environmentText.push_back(name + "=" + value);
    for (auto& text : plan.environmentText) plan.environment.push_back(text.data());
    plan.environment.push_back(nullptr);
  }
  return plan;
}

[[noreturn]] void becomeChild(ChildPlan& plan, int input, int output, int errors, int failure) {
  ::setpgid(0, 0);
  ::dup2(input, STDIN_FILENO);
  ::dup2(output, STDOUT_FILENO);
  ::dup2(errors, STDERR_FILENO);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  // What our programs ignore a program of others need not expect.
  for (const int signal : {SIGPIPE, SIGXFSZ}) ::signal(signal, SIG_DFL);
  // A refusal changes nothing.
  if (plan.opensSysctls && ::unshare(CLONE_NEWNS) == 0) {
    [[maybe_unused]] const int opened =
        ::mount(nullptr, kSysctls, nullptr,
                MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RELATIME, nullptr);
  }
  if (plan.inherit) {
    ::execvp(plan.argv[0], plan.argv.data());
  } else {
    ::execvpe(plan.argv[0], plan.argv.data(), plan.environment.data());
  }
  const int why = errno;
  [[maybe_unused]] const ssize_t told = ::write(failure, &why, sizeof why);
  ::_exit(127);
}

// Feeds input and collects both outputs until the child closed them or the deadline came.
class Conversation {
 public:
  Conversation(const ProcessSpec& spec, UniqueFd input, UniqueFd output, UniqueFd errors)
      : spec_(spec),
        input_(std::move(input)),
        output_(std::move(output)),
        errors_(std::move(errors)) {
    for (const auto* fd : {&input_, &output_, &errors_}) {
      ::fcntl(fd->get(), F_SETFL, ::fcntl(fd->get(), F_GETFL) | O_NONBLOCK);
    }
  }

  Result<void> hold(ProcessResult& result, std::chrono::steady_clock::time_point& deadline) {
    std::string_view left = spec_.input;
    int interrupt = spec_.interruptFd;
    while (output_ || errors_) {
      if (left.empty()) input_.reset();
      const auto wait =
          std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
      if (wait.count() <= 0) return Error(ErrorCode::kDeadlineExceeded, "ran past its deadline");
      std::array<pollfd, 4> fds{{{input_.get(), POLLOUT, 0},
                                 {output_.get(), POLLIN, 0},
                                 {errors_.get(), POLLIN, 0},
                                 {interrupt, POLLIN, 0}}};
      if (::poll(fds.data(), fds.size(),
                 static_cast<int>(std::min<long long>(wait.count(), 60000))) < 0) {
        if (errno == EINTR) continue;
        return Error::fromErrno(errno, "poll");
      }
      if (fds[0].revents != 0) feed(left);
      if (fds[1].revents != 0) RAILHEAD_TRY(drain(output_, result.output));
      if (fds[2].revents != 0) RAILHEAD_TRY(drain(errors_, result.errorOutput));
      if (fds[3].revents != 0) {
        deadline = std::min(deadline, std::chrono::steady_clock::now() + spec_.afterInterrupt);
        interrupt = -1;
      }
    }
    return {};
  }

 private:
  void feed(std::string_view& left) {
    const BrokenPipesHeld held;
    const ssize_t written = ::write(input_.get(), left.data(), left.size());
    if (written > 0) left.remove_prefix(static_cast<std::size_t>(written));
    if (written < 0 && errno != EAGAIN && errno != EINTR)
      left = {};  // the child does not read it: its choice
  }

  Result<void> drain(UniqueFd& fd, std::string& into) const {
    char chunk[16384];
    const ssize_t got = ::read(fd.get(), chunk, sizeof chunk);
    if (got == 0) fd.reset();
    if (got < 0 && errno != EAGAIN && errno != EINTR)
      return Error::fromErrno(errno, "read its output");
    if (got > 0) into.append(chunk, static_cast<std::size_t>(got));
    if (into.size() > spec_.maxOutput) {
      return Error(ErrorCode::kExhausted,
                   "printed more than " + std::to_string(spec_.maxOutput) + " bytes");
    }
    return {};
  }

  const ProcessSpec& spec_;
  UniqueFd input_;
  UniqueFd output_;
  UniqueFd errors_;
};

constexpr timespec kLook{0, 1000000};
constexpr int kLooksAtDying = 5000;

// Waits for the child; past the deadline its whole process group is killed first.
Result<int> reap(pid_t child, std::chrono::steady_clock::time_point deadline) {
  for (;;) {
    int status = 0;
    const pid_t done = ::waitpid(child, &status, WNOHANG);
    if (done == child) return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    if (done < 0 && errno != EINTR) return Error::fromErrno(errno, "wait for the program");
    if (std::chrono::steady_clock::now() >= deadline) {
      ::kill(-child, SIGKILL);
      // Not for ever: the kernel may hold it fast.
      for (int look = 0; look < kLooksAtDying && ::waitpid(child, &status, WNOHANG) == 0; ++look)
        ::nanosleep(&kLook, nullptr);
      return Error(ErrorCode::kDeadlineExceeded, "ran past its deadline");
    }
    ::nanosleep(&kLook, nullptr);
  }
}

}  // namespace

Result<ProcessResult> SystemProcessRunner::run(const ProcessSpec& spec) {
  if (spec.argv.empty()) return Error(ErrorCode::kInvalidArgument, "run a program: no name given");
  RAILHEAD_TRY_ASSIGN(Pipe input, makePipe());
  RAILHEAD_TRY_ASSIGN(Pipe output, makePipe());
  RAILHEAD_TRY_ASSIGN(Pipe errors, makePipe());
  RAILHEAD_TRY_ASSIGN(Pipe failure, makePipe());
  ChildPlan plan = planChild(spec);
  auto deadline = std::chrono::steady_clock::now() + spec.deadline;
  const pid_t child = ::fork();
  if (child < 0) return Error::fromErrno(errno, "fork");
  if (child == 0) {
    becomeChild(plan, input.read.get(), output.write.get(), errors.write.get(),
                failure.write.get());
  }
  ::setpgid(child, child);  // the child does it too: whichever comes first
  input.read.reset();
  output.write.reset();
  errors.write.reset();
  failure.write.reset();
  int why = 0;
  if (::read(failure.read.get(), &why, sizeof why) == static_cast<ssize_t>(sizeof why)) {
    ::waitpid(child, nullptr, 0);
    return Error::fromErrno(why, "start " + spec.argv[0]);
  }
  ProcessResult result;
  Conversation conversation(spec, std::move(input.write), std::move(output.read),
                            std::move(errors.read));
  auto held = conversation.hold(result, deadline);
  if (!held.has_value()) ::kill(-child, SIGKILL);
  auto code = reap(child, deadline + std::chrono::milliseconds(held.has_value() ? 0 : 2000));
  if (!held.has_value()) return std::move(held).error().addContext(spec.argv[0]);
  if (!code.has_value()) return std::move(code).error().addContext(spec.argv[0]);
  result.exitCode = *code;
  return result;
}

}  // namespace railhead::os
