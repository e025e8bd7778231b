// Whether what is to be measured fits into the ranks' memory, asked before any of it is taken.
#pragma once

#include "src/base/result.h"
#include "src/collective/communicator.h"
#include "src/collective/group.h"

#include <cstdint>
#include <string_view>

namespace railhead::bench {

// Refuses what would not fit: two buffers of the largest size (and what the host backend adds) for
// every rank that shares the memory. Filling the node's own memory, which on unified memory is the
// GPU's too, freezes the node (a 16 GB test did so on a 128 GB Spark), so a quarter of what is free
// is the limit there, and nine tenths elsewhere. kInvalidArgument names `option`, which the size
// came by, and says which size would do.
Result<void> checkRoom(std::string_view option, std::uint64_t largestBytes, int ranksSharing,
                       const collective::Memory::Room& room);

// The same on every rank, each with its own memory; all ranks call it together. What does not fit
// on one, or cannot be told there, is refused on all, with that rank's reason.
Result<void> checkRoomTogether(std::string_view option, std::uint64_t largestBytes,
                               collective::Memory& memory, collective::Group& group,
                               os::Deadline deadline);

}  // namespace railhead::bench
