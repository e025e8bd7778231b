// Asks kubelet which pod holds which device (pod-resources API v1). Thread-safe; every call makes
// its own connection, so a restarted kubelet is no special case.
#pragma once

#include "src/base/result.h"
#include "src/os/unix_socket.h"

#include <atomic>
#include <optional>
#include <string>
#include <vector>

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

  std::string socketPath_;
  mutable std::atomic<bool> withoutGet_ = false;
};

}  // namespace railhead::kube
