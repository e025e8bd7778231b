// What a verbs benchmark does, as values. The connecting end decides; the listener checks the same
// bounds and follows.
#pragma once

#include "src/base/result.h"

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace railhead::bench {

// How the bytes move. The connecting end asks for every measured message: it writes, reads, or
// sends into what the listener posted.
enum class VerbsOperation { kWrite, kRead, kSend };
std::string_view verbsOperationName(VerbsOperation operation);  // "write"
Result<VerbsOperation> parseVerbsOperation(std::string_view name);

// What one measurement keeps in flight on each rail.
struct VerbsLoad {
  std::size_t messageBytes = 0;
  int outstanding = 0;  // messages; each has a slot of its own in the buffer
  double seconds = 0;

  std::size_t bytes() const { return messageBytes * static_cast<std::size_t>(outstanding); }
};

struct VerbsPlan {
  VerbsOperation operation = VerbsOperation::kWrite;
  std::size_t messageBytes = 64 << 10;
  int outstanding = 16;       // messages in flight per rail
  int pairsPerRail = 1;       // queue pairs; the messages in flight are dealt out to them in turn
  double seconds = 3;         // of each bandwidth measurement
  double latencySeconds = 1;  // at most this long per rail ...
  int latencySamples = 1000;  // ... and at most so many samples; at least kMinLatencySamples
  std::size_t rateBytes = 8;  // of one message where messages per second are counted
  int rateOutstanding = 256;
  double rateSeconds = 1;
  std::vector<std::size_t> sizes;  // of a sweep, bytes of one message; empty: none
  double sizeSeconds = 0.5;        // of each size
  std::uint64_t seed = 1;          // of every pattern

  static constexpr int kMinLatencySamples = 20;
  static constexpr std::size_t kMinMessage = 8;
  static constexpr std::size_t kMaxMessage = std::size_t{64} << 20;
  static constexpr std::size_t kMaxBuffer = std::size_t{256} << 20;  // per rail and direction
  static constexpr int kMaxOutstanding = 1024;
  static constexpr int kMaxPairs = 64;
  static constexpr std::size_t kMaxSizes = 64;
  static constexpr double kMaxSeconds = 600;

  VerbsLoad bandwidthLoad() const { return {messageBytes, outstanding, seconds}; }
  VerbsLoad rateLoad() const { return {rateBytes, rateOutstanding, rateSeconds}; }
  VerbsLoad sizeLoad(std::size_t bytes) const { return {bytes, outstanding, sizeSeconds}; }

  std::size_t bufferBytes() const;  // that hold every load
  int mostOutstanding() const;
  double longestSeconds() const;  // of one measurement
  // kInvalidArgument names the option that sets it, its value and what is allowed.
  Result<void> check() const;
};

// "8..8MiB": every power of two from the first to the last, which are powers of two themselves; or
// a list, "64,4KiB,1MiB". kInvalidArgument.
Result<std::vector<std::size_t>> parseMessageSizes(std::string_view text);

}  // namespace railhead::bench
