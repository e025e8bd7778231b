// The CNI plugin: environment and stdin in, result on stdout, nothing else on stdout.
#include "apps/railhead-cni/shim.h"
#include "src/os/host_paths.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>

#include <unistd.h>

namespace {

using railhead::cni::Call;
using railhead::cni::Reply;

constexpr std::array kVariables{"CNI_COMMAND", "CNI_CONTAINERID", "CNI_NETNS",
                                "CNI_IFNAME",  "CNI_ARGS",        "CNI_PATH"};

// False when stdin cannot be read or is longer than allowed.
bool readInput(std::string& input) {
  std::array<char, 16384> chunk;
  for (;;) {
    const ssize_t got = ::read(STDIN_FILENO, chunk.data(), chunk.size());
    if (got == 0) return true;
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 || input.size() + static_cast<std::size_t>(got) > railhead::cni::kMaxStdin)
      return false;
    input.append(chunk.data(), static_cast<std::size_t>(got));
  }
}

bool writeAll(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

Call readCall() {
  Call call;
  for (const char* name : kVariables) {
    if (const char* value = std::getenv(name)) call.environment[name] = value;
  }
  call.command = call.environment["CNI_COMMAND"];
  return call;
}

}  // namespace

int main() {
  std::signal(SIGPIPE, SIG_IGN);
  Call call = readCall();
  if (call.command.empty()) {
    writeAll(STDERR_FILENO,
             "railhead-cni is a CNI plugin: a container runtime calls it with CNI_COMMAND set.\n"
             "Example: echo '{\"cniVersion\":\"1.1.0\"}' | CNI_COMMAND=VERSION railhead-cni\n");
    return 2;
  }
  Reply reply;
  if (readInput(call.input)) {
    const railhead::os::HostPaths paths;
    const std::string socket = paths.cniSocket();
    reply = railhead::shim::answer(call, socket, railhead::shim::askOverSocket,
                                   railhead::shim::leaveMarkOnNode);
  } else {
    reply = {1, railhead::cni::encodeError({railhead::cni::kDecode,
                                            "stdin cannot be read, or is longer than the 1 MiB "
                                            "allowed",
                                            ""},
                                           "")};
  }
  if (!reply.output.empty()) reply.output += '\n';
  return writeAll(STDOUT_FILENO, reply.output) ? reply.exitCode : 1;
}
