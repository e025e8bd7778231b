// One agent gives the node to the next, so that an upgrade costs the node no moment without
// devices.
//
//   newer                                older
//   "handover/1"  ------------------->   stops attaching, provisioning and looking, frees the node
//                 <-------------------   "yours"           kubelet is still served by the older
//   recovers, looks, is ready to serve
//   "register"    ------------------->   stops serving kubelet
//                 <-------------------   "gone"
//   registers with kubelet at once
//
// Kubelet marks a resource unhealthy when any stream of it ends, also an older one's (kubelet's
// device manager, PluginDisconnected): so the older ends first and the newer follows at once. When
// the newer goes away before "register", or says nothing for two minutes, the older takes the node
// back as soon as it is free, and serves on.
#pragma once

#include "src/base/result.h"
#include "src/os/unique_fd.h"
#include "src/os/unix_listener.h"

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>

namespace railhead::agent {

// The older agent's side. Called from the server's thread.
struct HandoverDuties {
  std::function<void()> release;           // all but kubelet
  std::function<Result<void>()> takeBack;  // after release(), when the newer went away; tried again
  std::function<void()> leave;             // after release(): ends what is left
};

class HandoverServer {
 public:
  // Only with the node's lock held: the name is taken from whoever has it.
  static Result<std::unique_ptr<HandoverServer>> start(const std::string& path,
                                                       HandoverDuties duties);
  ~HandoverServer();  // stops and joins; not from a duty

 private:
  enum class Said { kWord, kNothing, kStop };

  HandoverServer(os::UnixListener listener, os::UniqueFd stop, HandoverDuties duties);
  void serve();
  bool handOver(os::UniqueFd peer);  // true: the node is the other's, or it is time to stop
  Said waitForWord(int peer, const char* word);
  bool takeBack();  // false: it is time to stop

  const std::string path_;
  os::UnixListener listener_;
  os::UniqueFd stop_;
  const HandoverDuties duties_;
  std::thread thread_;
};

// The newer agent's side: one object from begin() until it serves kubelet.
class Handover {
 public:
  // Asks the agent that listens at `path` for the node and waits until it is free.
  // kNotFound: nobody listens there.
  static Result<Handover> begin(const std::string& path);
  // The older ends serving kubelet; returns when it did, or is gone.
  void finish();

 private:
  explicit Handover(os::UniqueFd connection) : connection_(std::move(connection)) {}
  os::UniqueFd connection_;
};

}  // namespace railhead::agent
