#include "lab/guest/child.h"

#include "src/base/text.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace railhead::lab {

namespace {

struct Pipe {
  os::UniqueFd read;
  os::UniqueFd write;
};

Result<Pipe> makePipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return Error::fromErrno(errno, "create a pipe");
  return Pipe{os::UniqueFd(ends[0]), os::UniqueFd(ends[1])};
}

Result<void> setNonBlocking(const os::UniqueFd& fd) {
  const int flags = ::fcntl(fd.get(), F_GETFL);
  if (flags < 0 || ::fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK) < 0) {
    return Error::fromErrno(errno, "make a pipe non-blocking");
  }
  return {};
}

// What the child needs, laid out before fork: after it only system calls happen.
struct ExecPlan {
  std::vector<std::string> environment;
  std::vector<const char*> argv;
  std::vector<const char*> envp;
  std::vector<std::string> candidates;  // paths to try in turn
  const char* cwd = "/";
  std::array<int, 3> streams{};
  int errorPipe = -1;
};

ExecPlan makePlan(const ExecRequest& request) {
  ExecPlan plan;
  std::map<std::string, std::string> merged = request.env;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos) continue;
    merged.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  for (const auto& [name, value] : merged) plan.environment.push_back(name + "=" + value);
  for (const std::string& entry : plan.environment) plan.envp.push_back(entry.c_str());
  plan.envp.push_back(nullptr);
  for (const std::string& argument : request.argv) plan.argv.push_back(argument.c_str());
  plan.argv.push_back(nullptr);
  if (request.argv[0].find('/') != std::string::npos) {
    plan.candidates.push_back(request.argv[0]);
  } else {
    const auto path = merged.find("PATH");
    const std::string searched = path == merged.end() ? "/usr/bin" : path->second;
    for (std::string_view folder : split(searched, ':')) {
      if (!folder.empty()) plan.candidates.push_back(std::string(folder) + "/" + request.argv[0]);
    }
  }
  plan.cwd = request.cwd.c_str();
  return plan;
}

// Runs in the child. Reports errno through the error pipe, which exec closes on success.
[[noreturn]] void becomeProgram(const ExecPlan& plan) {
  int failure = 0;
  ::setsid();
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
  for (int target = 0; target < 3; ++target) {
    // The plan's descriptors are above 2, so none is overwritten before its turn.
    if (::dup2(plan.streams[static_cast<std::size_t>(target)], target) < 0) failure = errno;
  }
  if (failure == 0 && ::chdir(plan.cwd) != 0) failure = errno;
  if (failure == 0) {
    failure = ENOENT;
    for (const std::string& path : plan.candidates) {
      ::execve(path.c_str(), const_cast<char* const*>(plan.argv.data()),
               const_cast<char* const*>(plan.envp.data()));
      if (errno != ENOENT && errno != ENOTDIR) failure = errno;
    }
  }
  [[maybe_unused]] const ssize_t written = ::write(plan.errorPipe, &failure, sizeof failure);
  ::_exit(127);
}

// Moves a descriptor above the standard ones, where dup2 in the child cannot hit it.
Result<void> liftAboveStandard(os::UniqueFd& fd) {
  if (fd.get() > 2) return {};
  const int lifted = ::fcntl(fd.get(), F_DUPFD_CLOEXEC, 3);
  if (lifted < 0) return Error::fromErrno(errno, "duplicate a pipe");
  fd.reset(lifted);
  return {};
}

}  // namespace

Result<Child> startChild(const ExecRequest& request) {
  RAILHEAD_TRY_ASSIGN(Pipe input, makePipe());
  RAILHEAD_TRY_ASSIGN(Pipe output, makePipe());
  RAILHEAD_TRY_ASSIGN(Pipe error, makePipe());
  RAILHEAD_TRY_ASSIGN(Pipe failure, makePipe());
  for (os::UniqueFd* fd : {&input.read, &output.write, &error.write, &failure.write}) {
    RAILHEAD_TRY(liftAboveStandard(*fd));
  }
  for (const os::UniqueFd* fd : {&input.write, &output.read, &error.read}) {
    RAILHEAD_TRY(setNonBlocking(*fd));
  }
  ExecPlan plan = makePlan(request);
  plan.streams = {input.read.get(), output.write.get(), error.write.get()};
  plan.errorPipe = failure.write.get();
  const pid_t pid = ::fork();
  if (pid < 0) return Error::fromErrno(errno, "start " + inQuotes(request.argv[0]));
  if (pid == 0) becomeProgram(plan);
  failure.write.reset();
  int childErrno = 0;
  ssize_t got = 0;
  do {
    got = ::read(failure.read.get(), &childErrno, sizeof childErrno);
  } while (got < 0 && errno == EINTR);
  if (got == static_cast<ssize_t>(sizeof childErrno)) {
    while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    return Error::fromErrno(childErrno,
                            "start " + inQuotes(request.argv[0]) + " in " + inQuotes(request.cwd));
  }
  Child child;
  child.pid = pid;
  child.standardInput = std::move(input.write);
  child.standardOutput = std::move(output.read);
  child.standardError = std::move(error.read);
  return child;
}

}  // namespace railhead::lab
