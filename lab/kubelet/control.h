// How the stand-in's program is commanded: one JSON request and one answer per connection on a
// unix socket.
#pragma once

#include "lab/kubelet/kubelet.h"
#include "src/base/result.h"
#include "src/os/unix_listener.h"

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace railhead::lab {

// Answers requests for `kubelet` with a few threads until destroyed.
class ControlServer {
 public:
  static Result<std::unique_ptr<ControlServer>> start(const std::string& socketPath,
                                                      Kubelet& kubelet);
  ~ControlServer();  // waits for the requests under way
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

 private:
  ControlServer(os::UnixListener listener, os::UniqueFd stop, Kubelet& kubelet);
  void serve();
  void answerOne(int connection);

  os::UnixListener listener_;
  os::UniqueFd stop_;  // readable once the server is to end
  Kubelet& kubelet_;
  std::vector<std::thread> threads_;
};

// The other side. Every call returns what the stand-in said, its errors with their class.
class ControlClient {
 public:
  explicit ControlClient(std::string socketPath) : socketPath_(std::move(socketPath)) {}

  Result<std::string> runPod(const std::string& specJson) const;  // the pod as JSON
  Result<void> deletePod(const std::string& pod, DeleteMode mode) const;
  Result<void> cleanUp() const;
  Result<std::string> status() const;  // JSON
  Result<void> restart() const;
  // Until at least `count` devices of `resource` are allocatable.
  Result<void> waitAllocatable(const std::string& resource, int count,
                               std::chrono::seconds wait) const;
  struct Door {
    std::string netns;
    int process = 0;  // has all of the container's namespaces; 0: only the network's is its own
    std::map<std::string, std::string> environment;
    std::string logFile;
    bool marked = false;  // the log's lines have CRI's prefix
  };
  Result<Door> enter(const std::string& pod) const;  // what exec and logs need

 private:
  std::string socketPath_;
};

}  // namespace railhead::lab
