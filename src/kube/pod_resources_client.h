// Asks kubelet which pod holds which device (pod-resources API v1). Thread-safe. The connection is
// kept from call to call, for making one takes longer than the question itself; one that failed, or
// whose kubelet's socket is another one by now, is made anew.
#pragma once

#include "src/base/result.h"
#include "src/os/unix_socket.h"

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace grpc {
class Channel;
class Status;
}  // namespace grpc

namespace railhead::kube {

// One resource of one container.
struct PodDevices {
  std::string podNamespace;
  std::string pod;
  std::string container;
  std::string resource;
  std::vector<std::string> ids;
  bool operator==(const PodDevices&) const = default;
};

class PodResourcesClient {
 public:
  // Answers are bounded by kubelet's own limit for them.
  static constexpr std::size_t kMaxEntries = 65536;

  // `socketPath`: <kubelet's pod-resources folder>/kubelet.sock
  explicit PodResourcesClient(std::string socketPath) : socketPath_(std::move(socketPath)) {}

  // Every device of every pod on the node. kNotFound or kUnavailable while kubelet is away or, up
  // to the deadline, limits the rate of calls (100/s for all its clients together; tried again
  // within it), kDeadlineExceeded, kExhausted when the answer is too long.
  Result<std::vector<PodDevices>> list(os::Deadline deadline) const;

  // One pod's devices; empty when the pod holds none. kNotFound when kubelet does not know the pod.
  // Kubelets before 1.27, and later ones with the feature off, have no such call: then the whole
  // list is asked, and a pod without devices is answered empty, known or not. Remembered until
  // kubelet was away.
  Result<std::vector<PodDevices>> get(const std::string& podNamespace, const std::string& pod,
                                      os::Deadline deadline) const;

 private:
  Result<std::vector<PodDevices>> listOnce(os::Deadline deadline) const;
  // Nothing: there is no such call.
  Result<std::optional<std::vector<PodDevices>>> getOnce(const std::string& podNamespace,
                                                         const std::string& pod,
                                                         os::Deadline deadline) const;

  using Call = std::function<grpc::Status(const std::shared_ptr<grpc::Channel>&)>;
  using SocketIdentity = std::pair<std::uint64_t, std::uint64_t>;  // device and inode

  // Makes the call over the kept connection; one that turns out to be gone is made anew once. The
  // error is that there is no kubelet to connect to.
  Result<grpc::Status> ask(os::Deadline deadline, const Call& call) const;
  std::shared_ptr<grpc::Channel> kept() const;
  Result<std::shared_ptr<grpc::Channel>> connect(os::Deadline deadline) const;
  void drop(const std::shared_ptr<grpc::Channel>& channel) const;

  std::string socketPath_;
  mutable std::atomic<bool> withoutGet_ = false;
  mutable std::mutex mutex_;
  mutable std::shared_ptr<grpc::Channel> channel_;
  mutable SocketIdentity identity_;  // of the socket that channel_ was connected to
};

}  // namespace railhead::kube
