// A choice that another process, or another part of this one, changes while NCCL runs: a file of 64
// bytes, mapped and read by the tuner plugin at each decision (RAILHEAD_TUNER_LIVE names it),
// written by who measures. All ranks must see the same choice for the same collective: change it
// only while no collective is being started, on every rank.
//
// One writer at a time; any number of readers. A reader never waits: while it is being written to,
// or when what stands there is no choice that a table could hold (table.h), NCCL decides.
#pragma once

#include <atomic>
#include <cstdint>

namespace railhead::nccl_tuner {

struct LiveChoice {
  std::uint32_t algorithm = 0;  // NCCL's numbers, as in table.h
  std::uint32_t protocol = 0;
  std::uint32_t channels = 0;  // 0: NCCL's own number; more with tree and ring only
};
inline constexpr LiveChoice kNcclDecides{UINT32_MAX, UINT32_MAX, 0};

struct LiveTable {
  static constexpr std::uint32_t kMagic = 0x314c4852;  // "RHL1"

  std::atomic<std::uint32_t> magic;
  std::atomic<std::uint32_t> sequence;  // 0: nothing chosen yet; odd: being written
  std::atomic<std::uint32_t> algorithm;
  std::atomic<std::uint32_t> protocol;
  std::atomic<std::uint32_t> channels;
  std::uint32_t reserved[11];
};
static_assert(sizeof(LiveTable) == 64 && std::atomic<std::uint32_t>::is_always_lock_free);

// Ordering by acquire and release on every member, not by fences: the thread sanitizer does not
// know those.
inline void writeLive(LiveTable& live, LiveChoice choice) {
  const auto sequence = live.sequence.load(std::memory_order_relaxed) | 1U;  // a dead writer's too
  live.sequence.store(sequence, std::memory_order_relaxed);
  live.algorithm.store(choice.algorithm, std::memory_order_release);
  live.protocol.store(choice.protocol, std::memory_order_release);
  live.channels.store(choice.channels, std::memory_order_release);
  live.magic.store(LiveTable::kMagic, std::memory_order_release);
  live.sequence.store(sequence == UINT32_MAX ? 2 : sequence + 1, std::memory_order_release);
}

// False when there is no choice, or none came to rest within a few looks.
inline bool readLive(const LiveTable& live, LiveChoice& choice) {
  for (int look = 0; look < 16; ++look) {
    const auto before = live.sequence.load(std::memory_order_acquire);
    if (before == 0 || live.magic.load(std::memory_order_acquire) != LiveTable::kMagic)
      return false;
    const LiveChoice read{live.algorithm.load(std::memory_order_acquire),
                          live.protocol.load(std::memory_order_acquire),
                          live.channels.load(std::memory_order_acquire)};
    if (before % 2 != 0 || live.sequence.load(std::memory_order_relaxed) != before) continue;
    choice = read;
    return true;
  }
  return false;
}

}  // namespace railhead::nccl_tuner
