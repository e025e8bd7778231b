// One extended resource, offered to kubelet over the device-plugin protocol v1beta1.
//
// The server listens on <kubelet folder>/<socket name> and registers at <kubelet
// folder>/kubelet.sock. It stays: when kubelet is away it waits for it, when kubelet restarts (and
// with it empties the folder) it listens and registers again at once, when kubelet stops watching
// it registers again. Several resources are several servers.
//
// Kubelet marks all devices of a resource unhealthy when any ListAndWatch stream of it ends,
// whoever serves the resource now, and closes no older stream when a plugin registers again
// (runClient and PluginDisconnected of its device manager). So a server whose resource another one
// takes over is retired rather than stopped, and one that loses an older stream registers again.
#pragma once

#include "src/base/result.h"
#include "src/kube/device.h"
#include "src/os/unique_fd.h"
#include "src/os/unix_socket.h"
#include "src/os/work_mark.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::kube {

enum class PluginPhase {
  kStopped,
  kWaiting,      // kubelet is away, or the socket cannot be made: tried again within a second
  kRegistering,  // kubelet was asked
  kRegistered,   // kubelet accepted
  kRefused,      // kubelet said no; asked again, more and more slowly
  kDisplaced,    // another living process listens on our socket's name: we stand back until it goes
};
std::string_view pluginPhaseName(PluginPhase phase);  // "waiting"

struct PluginState {
  PluginPhase phase = PluginPhase::kStopped;
  std::string detail;               // why, in one line; empty when registered
  int watchers = 0;                 // open ListAndWatch streams, older ones of this kubelet too
  std::uint64_t registrations = 0;  // accepted ones since start()
  std::uint64_t allocations = 0;    // containers that got devices since start()
};

// Kubelet accepted it and has its list, or gets it now.
inline bool isWatched(const PluginState& state) {
  return state.phase == PluginPhase::kRegistered && state.watchers > 0;
}

struct DevicePluginOptions {
  std::string folder;    // kubelet's device-plugins folder
  std::string socket;    // file name within it: "railhead-nvidia.com_cx7_qsfp.sock"
  std::string resource;  // "nvidia.com/cx7_qsfp"
  // Told after every change of the state but `allocations`, from the server's threads, with no lock
  // held. Must not call stop().
  std::function<void(const PluginState&)> onState;
  std::function<void(const std::string&)> onNote;  // what kubelet is not told of, in one line
  os::MakeWorkMark mark;                           // one for each of the two threads
  // Pace of new attempts; kubelet's socket appearing starts one at once in any case.
  std::chrono::milliseconds firstRetry{50};
  std::chrono::milliseconds lastRetry{1000};
  std::chrono::milliseconds lastRetryRefused{10000};
  // A registered server that nobody watches for so long registers again.
  std::chrono::milliseconds unwatchedGrace{2000};
};

class DevicePluginServer {
 public:
  static constexpr std::size_t kMaxDevices = 4096;
  static constexpr std::size_t kMaxIdLength = 63;  // kubelet's contract

  // `handler` outlives the server. kInvalidArgument: a bad resource or socket name, or a socket
  // path longer than the kernel takes (107 bytes).
  static Result<std::unique_ptr<DevicePluginServer>> create(DevicePluginOptions options,
                                                            ResourceHandler& handler);
  ~DevicePluginServer();  // stops
  DevicePluginServer(const DevicePluginServer&) = delete;
  DevicePluginServer& operator=(const DevicePluginServer&) = delete;

  // Starts two threads and returns at once; kubelet need not be there. A server starts once.
  Result<void> start();
  // Ends streams and calls, removes the socket if it is still ours. Waits for a handler call under
  // way, else takes milliseconds. Not from a handler or a state callback.
  void stop();
  // Another serves the resource from here on: stops listening, registering and telling, and keeps
  // answering on the connections that kubelet has. Returns duplicates of those: while one is open,
  // be it in another process, and this process ended without stop(), kubelet sees no end.
  std::vector<os::UniqueFd> retire();

  void registerAgain();  // at once: kubelet may have lost what it was told. Thread-safe

  // Thread-safe, before and after start(). The whole list at once; every stream gets this list or a
  // newer one. kInvalidArgument (nothing changes) for empty, long, repeated IDs or too many.
  Result<void> setDevices(std::vector<Device> devices);

  PluginState state() const;
  // Until `wanted(state)`, without its allocations, or the deadline; true when it came.
  bool waitFor(const std::function<bool(const PluginState&)>& wanted, os::Deadline deadline) const;

 private:
  class Keeper;
  explicit DevicePluginServer(std::unique_ptr<Keeper> keeper);
  std::unique_ptr<Keeper> keeper_;
};

}  // namespace railhead::kube
