// What both ends of the verbs benchmark share. Private to src/bench.
#pragma once

#include "src/bench/rendezvous.h"
#include "src/bench/verbs_plan.h"

#include <chrono>

namespace railhead::bench {

inline constexpr const char* kVerbsPurpose = "bench-verbs 1";

// For one answer of the peer: it may have to move `bytes` over a slow link first. Assumed is no
// less than 4 Mb/s.
inline Deadline answerBy(std::uint64_t bytes, double seconds = 0) {
  const double allowed = 30 + seconds + static_cast<double>(bytes) * 8 / 4e6;
  return std::chrono::steady_clock::now() +
         std::chrono::milliseconds(static_cast<std::int64_t>(allowed * 1000));
}

// A peer that leaves or falls silent in the middle makes the check fail.
inline Error asCheckFailure(Error error) {
  if (error.code == ErrorCode::kUnavailable || error.code == ErrorCode::kDeadlineExceeded ||
      error.code == ErrorCode::kCorrupt) {
    error.code = ErrorCode::kCheckFailed;
  }
  return error;
}

}  // namespace railhead::bench
