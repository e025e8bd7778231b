// Which slots of the buffer the messages of a load take, and in which turn. Both ends reckon alike:
// a send lands where the receiver's turn is. Not thread-safe.
#pragma once

#include "src/bench/verbs_plan.h"

#include <cstddef>
#include <vector>

namespace railhead::bench {

// Queue pair p of n takes slots p, p + n, p + 2n, ... and then the first again. There are no more
// pairs than slots.
class SlotTurns {
 public:
  SlotTurns() = default;
  SlotTurns(const VerbsLoad& load, std::size_t pairs)
      : load_(load), pairs_(pairs), turns_(pairs, 0) {}

  const VerbsLoad& load() const { return load_; }
  std::size_t slotsOf(std::size_t pair) const {
    return (static_cast<std::size_t>(load_.outstanding) - pair + pairs_ - 1) / pairs_;
  }
  // Offset of the pair's next message in the buffer.
  std::size_t next(std::size_t pair) {
    const std::size_t turn = turns_[pair];
    turns_[pair] = (turn + 1) % slotsOf(pair);
    return (pair + turn * pairs_) * load_.messageBytes;
  }

 private:
  VerbsLoad load_;
  std::size_t pairs_ = 1;
  std::vector<std::size_t> turns_;
};

}  // namespace railhead::bench
