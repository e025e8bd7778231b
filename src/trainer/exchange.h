// How the ranks' gradients and weights travel while the engine computes: collective calls in the
// order of the engine's work. Over a host communicator, over NCCL (nccl_exchange.h), or alone.
// Used by one thread at a time.
#pragma once

#include "src/base/result.h"
#include "src/collective/communicator.h"

#include <chrono>
#include <memory>
#include <string>

namespace railhead::trainer {

// Seconds of a step's communication: while the engine computed, and while it waited.
struct TravelTimes {
  double hidden = 0;
  double exposed = 0;
};

class Exchange {
 public:
  virtual ~Exchange() = default;
  virtual int rank() const = 0;
  virtual int ranks() const = 0;
  virtual std::string description() const = 0;

  // The call begins when what the engine has been asked for so far is done.
  virtual Result<void> start(const collective::Call& call, const void* send, void* receive) = 0;
  // What the engine is asked for from now on begins when all calls are done. May wait.
  virtual Result<void> join(collective::Deadline deadline) = 0;
  // Waits until all calls are done, and says what was measured since the last time.
  virtual Result<TravelTimes> finish(collective::Deadline deadline) = 0;
};

// One rank: every call in place is done already.
std::unique_ptr<Exchange> aloneExchange();
// An engine and a communicator in the host's memory. `communicator` must outlive it.
std::unique_ptr<Exchange> hostExchange(collective::Communicator& communicator);

}  // namespace railhead::trainer
