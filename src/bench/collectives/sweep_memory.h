// The two buffers of one line of a sweep, and where a call finds its data in them. Private to this
// folder.
#pragma once

#include "src/base/result.h"
#include "src/collective/communicator.h"

#include <cstdint>
#include <memory>

namespace railhead::bench {

class SweepMemory {
 public:
  struct Place {
    const void* send = nullptr;
    void* receive = nullptr;
  };

  // Room for `turns` calls of `bytes`, one behind the other.
  static Result<SweepMemory> allocate(collective::Memory& memory, std::uint64_t bytes,
                                      std::uint64_t turns);

  // Of the call that is the `turn`th, round and round. Turn 0 is the one with known data.
  Place placeFor(const collective::Call& call, int rank, int ranks, std::uint64_t turn) const;
  // Spoils both buffers and puts the call's pattern where it is sent from.
  Result<void> prepare(const collective::Call& call, int rank, int ranks, std::uint32_t seed);
  Result<collective::DataCheck> check(const collective::Call& call, int rank, int ranks,
                                      std::uint32_t seed) const;

 private:
  SweepMemory(collective::Memory& memory, std::uint64_t bytes, std::uint64_t turns,
              std::unique_ptr<collective::Buffer> first, std::unique_ptr<collective::Buffer> second)
      : memory_(&memory),
        bytes_(bytes),
        turns_(turns),
        first_(std::move(first)),
        second_(std::move(second)) {}

  collective::Memory* memory_;
  std::uint64_t bytes_, turns_;
  std::unique_ptr<collective::Buffer> first_;   // sends, and all of a call in place
  std::unique_ptr<collective::Buffer> second_;  // receives
};

}  // namespace railhead::bench
