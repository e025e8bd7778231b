// This process as one rank: joined with the others, with the backend that moves their data.
#pragma once

#include "apps/railhead/rank_options.h"
#include "src/collective/communicator.h"
#include "src/collective/failure_watch.h"
#include "src/collective/group.h"
#include "src/collective/nccl/nccl_communicator.h"
#include "src/nccl/debug_log.h"
#include "src/os/filesystem.h"
#include "src/verbs/types.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace railhead::collective {
class HostCommunicator;
}  // namespace railhead::collective

namespace railhead::app {

// Of the host backend, beyond what the options say: what tuning tries.
struct HostTuning {
  std::optional<std::size_t> rails;       // of those that carry, so many
  std::optional<std::size_t> pieceBytes;  // of what is sent at once
};

class RankSession {
 public:
  enum class NcclLog { kAsTheEnvironmentSays, kCaptured };

  // `purpose` keeps ranks of different commands and versions apart. While this process has one
  // thread.
  static Result<std::unique_ptr<RankSession>> open(const RankOptions& options,
                                                   const collective::World& world,
                                                   const std::string& purpose,
                                                   NcclLog log = NcclLog::kAsTheEnvironmentSays,
                                                   const HostTuning& tuning = {});
  ~RankSession();
  RankSession(const RankSession&) = delete;
  RankSession& operator=(const RankSession&) = delete;

  collective::Group& group() { return *group_; }
  collective::Communicator& communicator() { return *communicator_; }
  os::Filesystem& filesystem() { return *filesystem_; }
  // Every RDMA device of this network namespace, whether it can carry now or not; and which of them
  // the backend opened itself (the host backend over verbs).
  const std::vector<verbs::DeviceInfo>& devices() const { return devices_; }
  const std::vector<std::string>& opened() const { return opened_; }
  // What was left out when it was opened, and why: a rail that does not carry, RDMA that one rank
  // lacks.
  const std::vector<std::string>& notes() const { return notes_; }
  // Null with the host backend.
  const collective::NcclCommunicator* nccl() const { return nccl_; }
  // Null with NCCL.
  collective::HostCommunicator* host() const { return host_; }
  const nccl::CapturedLog* ncclLog() const { return ncclLog_ ? &*ncclLog_ : nullptr; }

 private:
  RankSession();
  Result<void> connect(const RankOptions& options, const collective::World& world);
  Result<bool> takesNccl(const RankOptions& options, const collective::NcclSettings& settings);
  Result<void> connectNccl(const RankOptions& options, const collective::World& world,
                           const collective::NcclSettings& settings);
  Result<void> connectHost(const RankOptions& options, const collective::World& world);
  Result<std::vector<std::string>> gather(const std::string& own);

  std::vector<verbs::DeviceInfo> devices_;
  std::vector<std::string> opened_;
  std::vector<std::string> notes_;
  std::unique_ptr<os::Filesystem> filesystem_;
  std::optional<nccl::CapturedLog> ncclLog_;
  collective::FailureWatch watch_;
  std::unique_ptr<collective::Communicator> communicator_;
  const collective::NcclCommunicator* nccl_ = nullptr;
  collective::HostCommunicator* host_ = nullptr;
  HostTuning tuning_;
  std::unique_ptr<collective::Group> group_;  // ends first: nothing may abort what is gone
};

}  // namespace railhead::app
