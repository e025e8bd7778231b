// Writes the annotation k8s.v1.cni.cncf.io/network-status of pods, from a thread of its own.
#pragma once

#include "src/agent/cluster/work_queue.h"
#include "src/base/result.h"
#include "src/kube/api/api_server.h"
#include "src/kube/api/retry_pause.h"
#include "src/os/log.h"

#include <memory>
#include <string>
#include <string_view>
#include <thread>

namespace railhead::agent {

struct PodStatusLimits {
  std::size_t waiting = 256;  // pods
  int tries = 6;
  kube::PauseLimits pauses{std::chrono::milliseconds(500), std::chrono::milliseconds(10000)};
};

class PodStatusWriter {
 public:
  // Both outlive it.
  static Result<std::unique_ptr<PodStatusWriter>> start(kube::ApiServer& api, os::Log& log,
                                                        PodStatusLimits limits = {});
  ~PodStatusWriter();  // ends the call under way, joins; what waits is left out
  PodStatusWriter(const PodStatusWriter&) = delete;
  PodStatusWriter& operator=(const PodStatusWriter&) = delete;

  // `status`: the annotation's value, a JSON list. Written soon, unless the pod is gone or another
  // one of its name is there. Interfaces that the annotation has from another CNI plugin, and
  // `status` does not name, stay. Never waits. Thread-safe.
  void attached(const std::string& podNamespace, const std::string& pod, const std::string& podUid,
                const std::string& status);

 private:
  struct Work {
    std::string podNamespace;
    std::string pod;
    std::string uid;
    std::string status;
    std::string name() const { return podNamespace + "/" + pod; }
  };
  PodStatusWriter(kube::ApiServer& api, os::Log& log, PodStatusLimits limits, kube::Cancel cancel);
  void run();
  Result<void> write(const Work& work);

  kube::ApiServer& api_;
  os::Log& log_;
  const PodStatusLimits limits_;
  kube::Cancel cancel_;
  WorkQueue<Work> queue_;
  std::thread thread_;
};

// `ours` after those of `present` whose interface it does not name; `ours` alone when `present` is
// no such list. kInvalidArgument when `ours` is none. Pure.
Result<std::string> mergedNetworkStatus(std::string_view present, std::string_view ours);

}  // namespace railhead::agent
