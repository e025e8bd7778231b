#include "apps/railhead/command_line.h"
#include "apps/usage/command_line.h"

#include <csignal>
#include <filesystem>
#include <iostream>

#include <unistd.h>

int main(int argc, char** argv) {
  // Errors of a call, not the end of the process: nobody reads, a file may not grow.
  for (const int signal : {SIGPIPE, SIGXFSZ}) std::signal(signal, SIG_IGN);
  std::error_code ignored;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", ignored);
  railhead::app::Context context{std::cout, std::cerr, isatty(STDERR_FILENO) != 0, self.string()};
  const auto code = railhead::app::runCommandLine({argv, argv + argc}, context);
  return railhead::usage::finishOutput("railhead", static_cast<int>(code));
}
