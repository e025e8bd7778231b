// Work for the processors that a collective shares with a training step: what stands beside a call
// when it is measured overlapped. Backends: src/collective/host (threads of this process) and
// src/collective/nccl (a kernel on a stream of its own).
//
// It multiplies and adds in registers, in many small pieces that any free processor takes. So its
// time tells what a call takes away of processors (cores, multiprocessors), and nothing of memory's
// bandwidth or of the caches.
//
// Used by one thread.
#pragma once

#include "src/base/result.h"

#include <chrono>
#include <cstdint>
#include <string>

namespace railhead::collective {

class Compute {
 public:
  virtual ~Compute() = default;

  // What works: "132 multiprocessors", "1 thread".
  virtual std::string describe() const = 0;
  // Begins so many units, behind those begun before, and returns. A unit is the same work in every
  // process of this program on this machine: microseconds of all that describe() names.
  virtual Result<void> start(std::uint64_t units) = 0;
  // Until all that was begun is done. kDeadlineExceeded leaves it running.
  virtual Result<void> wait(std::chrono::steady_clock::time_point deadline) = 0;
  // Units that were really worked off since this was made, as the workers counted them. After
  // wait(), never while it is timed.
  virtual Result<std::uint64_t> done() = 0;
};

}  // namespace railhead::collective
