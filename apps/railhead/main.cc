#include "apps/railhead/command_line.h"

#include <csignal>
#include <filesystem>
#include <iostream>

#include <unistd.h>

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  std::error_code ignored;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", ignored);
  railhead::app::Context context{std::cout, std::cerr, isatty(STDERR_FILENO) != 0, self.string()};
  const auto code = railhead::app::runCommandLine({argv, argv + argc}, context);
  std::cout.flush();
  if (!std::cout) {
    std::cerr << "railhead: could not write the output\n";
    return static_cast<int>(railhead::ExitCode::kFailed);
  }
  return static_cast<int>(code);
}
