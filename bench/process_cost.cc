#include "bench/process_cost.h"

#include "src/base/text.h"

#include <csignal>
#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

namespace railhead::bench_programs {
namespace {

// "VmRSS:\t 9896 kB" -> 9896.
std::uint64_t firstNumber(std::string_view text) {
  const auto begin = text.find_first_of("0123456789");
  if (begin == std::string_view::npos) return 0;
  const auto end = text.find_first_not_of("0123456789", begin);
  return parseUnsigned(text.substr(begin, end - begin)).value_or(0);
}

}  // namespace

Result<ProcessCost> readCost(pid_t process) {
  const std::string folder = "/proc/" + std::to_string(process);
  std::ifstream status(folder + "/status");
  if (!status) return Error(ErrorCode::kNotFound, "process " + std::to_string(process) + " ended");
  ProcessCost cost;
  std::string line;
  while (std::getline(status, line)) {
    if (line.starts_with("VmRSS:")) cost.rssKiB = firstNumber(line);
    if (line.starts_with("RssAnon:")) cost.anonymousKiB = firstNumber(line);
    if (line.starts_with("RssFile:")) cost.fileKiB = firstNumber(line);
    if (line.starts_with("Threads:")) cost.threads = static_cast<int>(firstNumber(line));
  }
  std::error_code ignored;
  for (const auto& thread : std::filesystem::directory_iterator(folder + "/task", ignored)) {
    std::ifstream schedule(thread.path() / "schedstat");
    std::uint64_t nanoseconds = 0;
    if (schedule >> nanoseconds) cost.cpuSeconds += static_cast<double>(nanoseconds) / 1e9;
  }
  return cost;
}

Result<StartedProgram> StartedProgram::start(const std::vector<std::string>& argv,
                                             const std::string& log) {
  std::vector<char*> words;
  for (const auto& word : argv) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, log.c_str(),
                                   O_WRONLY | O_CREAT | O_TRUNC, 0600);
  pid_t pid = -1;
  const int failed = ::posix_spawn(&pid, words[0], &actions, nullptr, words.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) return Error::fromErrno(failed, "start " + argv[0]);
  return StartedProgram(pid);
}

StartedProgram::~StartedProgram() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGTERM);
  ::waitpid(pid_, nullptr, 0);
}

}  // namespace railhead::bench_programs
