// What both ends of the verbs benchmark share. Private to src/bench.
#pragma once

#include "src/bench/open_rail.h"
#include "src/bench/rendezvous.h"
#include "src/bench/verbs_plan.h"

#include <algorithm>
#include <chrono>

namespace railhead::bench {

// The number rises with every change of what the ends say to each other.
inline constexpr const char* kVerbsPurpose = "bench-verbs 2";

// How much of the incoming buffer is filled and compared for a load: its slots, and behind them a
// guard that nothing may have touched, where the buffer goes on.
inline std::size_t comparedBytes(const VerbsPlan& plan, const VerbsLoad& load) {
  constexpr std::size_t kGuard = 4096;
  return std::min(plan.bufferBytes(), load.bytes() + kGuard);
}

// Gets a rail ready to take the peer's messages.
inline Result<void> prepareToTake(OpenRail& rail, const VerbsPlan& plan, const VerbsLoad& load,
                                  std::uint64_t seed) {
  RAILHEAD_TRY(rail.incoming().fillInverted(comparedBytes(plan, load), seed));
  return rail.operation() == VerbsOperation::kRead ? Result<void>() : rail.expect(load);
}

inline Result<std::optional<Mismatch>> compareTaken(OpenRail& rail, const VerbsPlan& plan,
                                                    const VerbsLoad& load, std::uint64_t seed) {
  return rail.incoming().compare(comparedBytes(plan, load), seed, load.bytes());
}

// Whose word it is that bytes are right, in words for a message.
inline const char* takenHere(VerbsOperation operation) {
  if (operation == VerbsOperation::kRead) return ", read from the peer";
  return operation == VerbsOperation::kSend ? ", sent by the peer" : ", written by the peer";
}
inline const char* takenThere(VerbsOperation operation) {
  return operation == VerbsOperation::kRead ? ", as the peer read it" : ", as the peer received it";
}

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
