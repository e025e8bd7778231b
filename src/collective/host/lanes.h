// One rail's connections from this rank to every other: what the host algorithms are written
// against. Real: GlooLanes; tests: lanes between threads. Used by one thread at a time.
#pragma once

#include "src/base/result.h"

#include <cstddef>
#include <functional>
#include <span>

namespace railhead::collective {

// Sends `out` to one rank while receiving `inBytes` from another (or the same); either may be
// empty. Received bytes are handed to `consume` in order, each with its offset from the beginning;
// piece boundaries fall on multiples of 64 bytes.
struct Exchange {
  int to = 0;
  std::span<const std::byte> out;
  int from = 0;
  std::size_t inBytes = 0;
  std::function<void(std::size_t offset, std::span<const std::byte> piece)> consume;
};

class Lanes {
 public:
  virtual ~Lanes() = default;
  virtual int rank() const = 0;
  virtual int ranks() const = 0;
  // `out` may be changed again when it returns. kUnavailable: the peer is gone or too slow.
  virtual Result<void> exchange(const Exchange& exchange) = 0;
};

}  // namespace railhead::collective
