// The host backend: every call cut into a share for each rail, each rail driven by a thread of its
// own, so that two rails carry what one cannot.
#pragma once

#include "src/collective/communicator.h"
#include "src/collective/host/algorithms.h"
#include "src/collective/host/gloo_lanes.h"

#include <memory>
#include <string>
#include <vector>

namespace railhead::collective {

struct HostSettings {
  std::vector<HostRail> rails;  // as many on every rank, in the same order
  LaneSettings lanes;
  // Which algorithm up to how many bytes of the larger buffer, and which beyond.
  std::size_t directUpTo = 16 << 10;
};

class HostCommunicator final : public Communicator {
 public:
  // Collective: all ranks call it. kCheckFailed: the ranks have different numbers of rails.
  static Result<std::unique_ptr<HostCommunicator>> connect(int rank, int ranks,
                                                           const HostSettings& settings,
                                                           const Gather& gather,
                                                           std::unique_ptr<Memory> memory);
  ~HostCommunicator() override;

  int rank() const override { return rank_; }
  int ranks() const override { return ranks_; }
  BackendDescription describe() const override;
  Memory& memory() override { return *memory_; }
  Result<void> supports(const Call& call) const override;
  Result<void> enqueue(const Call& call, const void* send, void* receive) override;
  Result<void> wait(Deadline deadline) override;
  void abort() override;

  // Of the calls from now on; the same on every rank, between calls (HostSettings).
  void setDirectUpTo(std::size_t bytes) { settings_.directUpTo = bytes; }
  std::size_t directUpTo() const { return settings_.directUpTo; }

 private:
  class RailWorker;
  HostCommunicator(int rank, int ranks, HostSettings settings, std::unique_ptr<Memory> memory);

  int rank_;
  int ranks_;
  HostSettings settings_;
  std::unique_ptr<Memory> memory_;
  std::vector<std::unique_ptr<RailWorker>> workers_;
};

}  // namespace railhead::collective
