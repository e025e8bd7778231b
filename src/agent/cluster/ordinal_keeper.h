// Claims the node's ordinal (ordinal_lease.h) from a thread of its own, so that an API server that
// is away keeps nothing waiting but what needs the number: after a boot the agent is up before the
// API server can be reached, and pods have to be deleted meanwhile.
#pragma once

#include "src/agent/cluster/ordinal_lease.h"
#include "src/attach/address_plan.h"
#include "src/base/result.h"
#include "src/kube/api/api_server.h"
#include "src/kube/api/retry_pause.h"
#include "src/os/clock.h"
#include "src/os/filesystem.h"
#include "src/os/log.h"

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

namespace railhead::agent {

class OrdinalKeeper final : public attach::NodeOrdinal {
 public:
  // The number that `file` remembers is known when this returns. All references outlive it.
  static Result<std::unique_ptr<OrdinalKeeper>> start(kube::ApiServer& api, os::Filesystem& files,
                                                      os::Clock& clock, os::Log& log,
                                                      OrdinalPlace place, std::string file,
                                                      kube::PauseLimits pauses = {});
  ~OrdinalKeeper() override;  // ends the call under way, joins
  OrdinalKeeper(const OrdinalKeeper&) = delete;
  OrdinalKeeper& operator=(const OrdinalKeeper&) = delete;

  Result<int> ordinal() override;

 private:
  OrdinalKeeper(kube::ApiServer& api, os::Filesystem& files, os::Clock& clock, os::Log& log,
                OrdinalPlace place, std::string file, kube::PauseLimits pauses,
                kube::Cancel cancel);
  void run();
  bool claimed(const Result<OrdinalClaim>& claim);

  kube::ApiServer& api_;
  os::Filesystem& files_;
  os::Clock& clock_;
  os::Log& log_;
  const OrdinalPlace place_;
  const std::string file_;
  const kube::PauseLimits pauses_;
  kube::Cancel cancel_;
  std::mutex mutex_;
  std::optional<int> number_;
  std::string why_ = "it is being claimed";  // while there is no number
  std::string told_;                         // the thread's own: a failure is told once
  std::thread thread_;
};

}  // namespace railhead::agent
