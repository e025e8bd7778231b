// Answers every connection on a root-only unix socket with the agent's status, then closes it.
#pragma once

#include "src/base/result.h"
#include "src/os/host_paths.h"
#include "src/os/unique_fd.h"
#include "src/os/unix_listener.h"

#include <functional>
#include <memory>
#include <string>
#include <thread>

namespace railhead::agent {

class StatusServer {
 public:
  // `answer` is called from the server's thread, one call at a time. Only with the node's lock
  // held: the name is taken from whoever has it, since a killed agent's socket may outlive its lock
  // by an instant.
  static Result<std::unique_ptr<StatusServer>> start(const std::string& path,
                                                     std::function<std::string()> answer);
  ~StatusServer();

 private:
  StatusServer(os::UnixListener listener, os::UniqueFd stop, std::function<std::string()> answer);
  void serve();

  os::UnixListener listener_;
  os::UniqueFd stop_;  // eventfd: readable when it is time to end
  std::function<std::string()> answer_;
  std::thread thread_;
};

// What the server at `path` answers. kEnvironment without one.
Result<std::string> askAt(const std::string& path);
// The status of a running agent. kEnvironment without one.
Result<std::string> askStatus(const os::HostPaths& paths);

}  // namespace railhead::agent
