// Inside src/kube only: the gRPC half of the device-plugin server. It has no listening socket: it
// is given accepted connections, so the socket file can come and go without touching the calls.
//
// One thread serves everything: calls from kubelet, pushes to the ListAndWatch streams and our own
// Register call. A stream has one message under way at most; a consumer that stalls gets the latest
// list when it reads again, and costs that one message.
#pragma once

#include "src/base/result.h"
#include "src/kube/device.h"
#include "src/os/unique_fd.h"
#include "src/os/unix_socket.h"
#include "src/os/work_mark.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace railhead::kube::rpc {

class PluginService {
 public:
  struct Registration {
    std::uint64_t id = 0;       // given back with its end
    std::string kubeletSocket;  // path
    std::string endpoint;       // our socket's file name
    std::string resource;
    os::Deadline deadline;
  };
  // Called from the service's thread with no lock of its own held; registrationEnded comes from
  // inside beginRegistration() when kubelet's socket takes no connection.
  struct Hooks {
    // A ListAndWatch stream came or went; `open` are left.
    std::function<void(int open)> watchBegan;
    std::function<void(int open, bool newest)> watchEnded;
    std::function<void(std::uint64_t id, Result<void>)> registrationEnded;
    std::function<void(const std::string&)> note;  // what kubelet is not told of
    os::MakeWorkMark mark;
  };

  // Kubelet closes no stream when a plugin registers again, and the newest counts. One more than
  // this ends all but the newest.
  static constexpr int kMaxWatchers = 16;

  // `handler` outlives the service.
  PluginService(ResourceHandler& handler, Hooks hooks);
  ~PluginService();
  PluginService(const PluginService&) = delete;
  PluginService& operator=(const PluginService&) = delete;

  // All of these are thread-safe.
  Result<void> start();
  void adopt(os::UniqueFd connection);  // a non-blocking, connected stream socket
  // The list every stream gets, and the IDs Allocate knows.
  void publish(const std::vector<Device>& devices);
  void mute();  // no stream gets anything from here on; calls are answered as ever
  // Starts a Register call; its end comes through the hook. A call under way is given up first and
  // its end is not reported.
  void beginRegistration(const Registration& registration);
  // Ends every call and stream, waits for a handler call under way. Cannot be started again.
  void stop();

 private:
  class Core;
  std::unique_ptr<Core> core_;
};

}  // namespace railhead::kube::rpc
