// One agent gives the node to the next, so that an upgrade costs the node no moment without
// devices.
//
//   newer                                older
//   "handover/2"  ------------------->   stops attaching, provisioning and looking, frees the node
//                 <-------------------   "yours"           kubelet is still served by the older
//   recovers, looks, registers with
//   kubelet, which asks it from now on
//   "leave"       ------------------->   tells kubelet nothing more, takes nothing new
//                 <-------------------   "gone", and kubelet's connections to it
//   "kept"        ------------------->   waits to be ended
//
// Kubelet marks a resource unhealthy when any stream of it ends, also an older one's
// (src/kube/device_plugin_server.h): so the newer holds the older's connections open, in all the
// time that kubelet lives. Should it not get them, the older hangs up at once ("ended") and the
// newer registers again: that costs the node a moment. When the newer goes away before "leave", or
// says nothing for two minutes, the older takes the node back as soon as it is free, and serves on.
#pragma once

#include "src/agent/held_connections.h"
#include "src/base/result.h"
#include "src/os/unique_fd.h"
#include "src/os/unix_listener.h"

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace railhead::agent {

// The older agent's side. Called from the server's thread.
struct HandoverDuties {
  std::function<void()> release;           // all but kubelet
  std::function<Result<void>()> takeBack;  // after release(), when the newer went away; tried again
  // After release(): serves no resource any more, and gives kubelet's connections away.
  std::function<std::vector<KeptConnection>()> leave;
  std::function<void()> hangUp;  // after leave(): nobody keeps them
};

class HandoverServer {
 public:
  // Only with the node's lock held: the name is taken from whoever has it.
  static Result<std::unique_ptr<HandoverServer>> start(const std::string& path,
                                                       HandoverDuties duties);
  ~HandoverServer();  // stops
  // Waits for a duty under way. A newer agent that was answered hears of the end only when this
  // object goes: by then kubelet's connections to this agent should have ended. Not from a duty.
  void stop();

 private:
  enum class Said { kWord, kNothing, kStop };

  HandoverServer(os::UnixListener listener, os::UniqueFd stop, HandoverDuties duties);
  void serve();
  bool handOver();  // with peer_; true: the node is the other's, or it is time to stop
  Said waitForWord(int peer, const char* word);
  bool takeBack();  // false: it is time to stop
  void give(int peer);

  const std::string path_;
  os::UnixListener listener_;
  os::UniqueFd stop_;
  const HandoverDuties duties_;
  os::UniqueFd peer_;  // the thread's own
  std::thread thread_;
};

// The newer agent's side: one object from begin() until it serves kubelet.
class Handover {
 public:
  // Asks the agent that listens at `path` for the node and waits until it is free.
  // kNotFound: nobody listens there, or stopped to before the node was free.
  static Result<Handover> begin(const std::string& path);
  // Once kubelet is served by this one: kubelet's connections to the older, to be kept. An Error:
  // those are closed, or will be, and kubelet has to be told of the devices again.
  Result<std::vector<KeptConnection>> finish();

 private:
  explicit Handover(os::UniqueFd connection) : connection_(std::move(connection)) {}
  os::UniqueFd connection_;
};

struct TakeOverSeams {
  std::function<Result<os::UniqueFd>()> lock;  // the node's. kBusy: somebody has it
  std::function<void()> waits;                 // called once, before a wait that may be long
};
struct TakenNode {
  std::optional<Handover> handover;  // nothing: nobody had the node
  os::UniqueFd lock;
};
// The node, from the agent that has it or, where nobody does, by its lock alone. An agent that is
// starting, takes the node back or hands it to another has the lock and cannot be asked: that is
// waited for, up to a minute (kBusy).
Result<TakenNode> takeOver(const std::string& path, const TakeOverSeams& seams);

}  // namespace railhead::agent
