#include "lab/demo/node_shell.h"

#include "src/base/text.h"

#include <algorithm>

namespace railhead::lab {
namespace {

constexpr const char* kLogFolder = "/run/railhead-lab";

std::vector<std::string> lastOf(std::string_view text, std::size_t count) {
  std::vector<std::string> lines;
  for (const auto line : split(text, '\n')) {
    if (!trim(line).empty()) lines.emplace_back(line);
  }
  if (lines.size() > count)
    lines.erase(lines.begin(), lines.end() - static_cast<std::ptrdiff_t>(count));
  return lines;
}

ErrorCode classOf(int exitCode) {
  switch (exitCode) {
    case 2:
      return ErrorCode::kInvalidArgument;
    case 3:
      return ErrorCode::kCheckFailed;
    case 4:
      return ErrorCode::kEnvironment;
    default:
      return ErrorCode::kIo;
  }
}

}  // namespace

NodeShell::Ran NodeShell::attempt(const std::vector<std::string>& argv, const std::string& input,
                                  std::chrono::seconds deadline) const {
  ExecOptions options;
  options.input = input;
  options.deadline = deadline;
  auto done = lab_->exec(node_, argv, options).addContext(node_ + ": " + argv.front());
  if (!done.has_value()) return {{}, std::move(done).error()};
  if (done->exitCode == 0) return {std::move(done->output), {}};
  const auto said = lastOf(done->errorOutput.empty() ? done->output : done->errorOutput, 3);
  Error failure(classOf(done->exitCode), node_ + ": " + join(argv, " ") + ": exit " +
                                             std::to_string(done->exitCode) +
                                             (said.empty() ? "" : ": " + join(said, "; ")));
  return {std::move(done->output), std::move(failure)};
}

Result<std::string> NodeShell::run(const std::vector<std::string>& argv, const std::string& input,
                                   std::chrono::seconds deadline) const {
  Ran ran = attempt(argv, input, deadline);
  if (ran.failure) return std::move(*ran.failure);
  return std::move(ran.output);
}

Result<void> NodeShell::writeFile(const std::string& path, const std::string& content) const {
  const std::string folder = path.substr(0, path.rfind('/'));
  RAILHEAD_TRY(run({"sh", "-c", "mkdir -p \"$1\" && cat > \"$2\"", "sh", folder, path}, content));
  return {};
}

Result<void> NodeShell::startDaemon(const std::string& name,
                                    const std::vector<std::string>& argv) const {
  std::vector<std::string> command{"sh", "-c",
                                   "mkdir -p " + std::string(kLogFolder) + "; log=" + kLogFolder +
                                       "/" + name + ".log; setsid \"$@\" >$log 2>&1 </dev/null &",
                                   "sh"};
  command.insert(command.end(), argv.begin(), argv.end());
  RAILHEAD_TRY(run(command));
  return {};
}

std::vector<std::string> NodeShell::lastLines(const std::string& daemon, std::size_t count) const {
  const auto log =
      run({"tail", "-n", std::to_string(count), std::string(kLogFolder) + "/" + daemon + ".log"},
          {}, std::chrono::seconds(5));
  if (log.has_value() && !trim(*log).empty()) return lastOf(*log, count);
  const auto console = lab_->logs(node_, 16 * 1024);
  return console.has_value() ? lastOf(*console, count) : std::vector<std::string>{};
}

}  // namespace railhead::lab
