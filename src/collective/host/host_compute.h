// Compute on cores of this machine: threads that take pieces of one pile, so that a core which a
// call keeps busy does fewer of them.
#pragma once

#include "src/collective/compute.h"

#include <memory>

namespace railhead::collective {

class HostCompute final : public Compute {
 public:
  // `threads` from 1: as many as the step would have. Ends, with what they have begun, at
  // destruction.
  explicit HostCompute(int threads);
  ~HostCompute() override;

  std::string describe() const override;
  Result<void> start(std::uint64_t units) override;
  Result<void> wait(std::chrono::steady_clock::time_point deadline) override;
  Result<std::uint64_t> done() override;

 private:
  class Pile;
  std::unique_ptr<Pile> pile_;
  int threads_;
};

// The threads of one of `ranksHere` ranks that share what cores this process may use.
int computeThreads(int ranksHere);

}  // namespace railhead::collective
