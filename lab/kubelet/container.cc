#include "lab/kubelet/container.h"

#include "src/os/unique_fd.h"

#include <cerrno>

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

namespace railhead::lab {
namespace {

int codeOf(int status) {
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

// Between fork and exec of a threaded process: only calls that are safe in a signal handler.
[[noreturn]] void becomeContainer(char* const* argv, char* const* environment, int netns, int log,
                                  int input, int failure) {
  sigset_t none;
  ::sigemptyset(&none);
  if (::setpgid(0, 0) == 0 && ::setns(netns, CLONE_NEWNET) == 0 &&
      ::dup2(input, STDIN_FILENO) >= 0 && ::dup2(log, STDOUT_FILENO) >= 0 &&
      ::dup2(log, STDERR_FILENO) >= 0 && ::sigprocmask(SIG_SETMASK, &none, nullptr) == 0) {
    ::execvpe(argv[0], argv, environment);
  }
  const int why = errno;
  [[maybe_unused]] const ssize_t told = ::write(failure, &why, sizeof why);
  ::_exit(127);
}

Result<os::UniqueFd> openFile(const std::string& path, int flags) {
  os::UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC, 0644));
  if (!fd) return Error::fromErrno(errno, "open " + path);
  return fd;
}

}  // namespace

Result<std::unique_ptr<Container>> Container::start(const Plan& plan) {
  RAILHEAD_TRY_ASSIGN(const os::UniqueFd netns, openFile(plan.netns, O_RDONLY));
  RAILHEAD_TRY_ASSIGN(const os::UniqueFd log,
                      openFile(plan.logFile, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND));
  // Standard input is empty: a pipe nobody writes to.
  int input[2];
  int failure[2];
  if (::pipe2(input, O_CLOEXEC) != 0) return Error::fromErrno(errno, "make a pipe");
  const os::UniqueFd inputRead(input[0]);
  os::UniqueFd inputWrite(input[1]);
  inputWrite.reset();
  if (::pipe2(failure, O_CLOEXEC) != 0) return Error::fromErrno(errno, "make a pipe");
  const os::UniqueFd failureRead(failure[0]);
  os::UniqueFd failureWrite(failure[1]);

  std::vector<char*> argv;
  for (const auto& word : plan.command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  std::vector<std::string> lines;
  for (const auto& [name, value] : plan.environment) lines.push_back(name + "=" + value);
  std::vector<char*> environment;
  for (auto& line : lines) environment.push_back(line.data());
  environment.push_back(nullptr);

  const pid_t pid = ::fork();
  if (pid < 0) return Error::fromErrno(errno, "fork");
  if (pid == 0) {
    becomeContainer(argv.data(), environment.data(), netns.get(), log.get(), inputRead.get(),
                    failureWrite.get());
  }
  ::setpgid(pid, pid);  // the child does it too: whichever comes first
  failureWrite.reset();
  auto container = std::unique_ptr<Container>(new Container(pid));
  int why = 0;
  if (::read(failureRead.get(), &why, sizeof why) == static_cast<ssize_t>(sizeof why)) {
    return Error::fromErrno(why, "start " + plan.command[0] + " in the pod");
  }
  return container;
}

Container::~Container() {
  if (exitCode()) return;
  ::kill(-pid_, SIGKILL);
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
}

std::optional<int> Container::exitCode() {
  if (code_) return code_;
  int status = 0;
  if (::waitpid(pid_, &status, WNOHANG) == pid_) code_ = codeOf(status);
  return code_;
}

}  // namespace railhead::lab
