// What a verbs benchmark does, as values. The connecting end decides; the listener checks the same
// bounds and follows.
#pragma once

#include "src/base/result.h"

#include <cstddef>
#include <cstdint>

namespace railhead::bench {

struct VerbsPlan {
  std::size_t messageBytes = 64 << 10;
  int outstanding = 16;       // messages in flight per rail; together they are the buffer
  int pairsPerRail = 1;       // queue pairs; the messages in flight are dealt out to them in turn
  double seconds = 3;         // of each bandwidth measurement
  double latencySeconds = 1;  // at most this long per rail ...
  int latencySamples = 1000;  // ... and at most so many round trips; at least kMinLatencySamples
  std::uint64_t seed = 1;     // of every pattern

  static constexpr int kMinLatencySamples = 20;
  static constexpr std::size_t kMinMessage = 8;
  static constexpr std::size_t kMaxMessage = std::size_t{64} << 20;
  static constexpr std::size_t kMaxBuffer = std::size_t{256} << 20;  // per rail and direction
  static constexpr int kMaxOutstanding = 1024;
  static constexpr int kMaxPairs = 64;
  static constexpr double kMaxSeconds = 600;

  std::size_t bufferBytes() const { return messageBytes * static_cast<std::size_t>(outstanding); }
  // kInvalidArgument names the field, its value and what is allowed.
  Result<void> check() const;
};

}  // namespace railhead::bench
