// Collective operations over Lanes: what each rank does for its part of one call.
//
// Ring: bandwidth-optimal; every element crosses each rank once (twice for all_reduce). Direct: one
// exchange with each peer; fewest steps, for small calls. Sums are added in an order that depends
// on ranks and position alone, so that every rank gets the same bits, and gets them again.
#pragma once

#include "src/base/result.h"
#include "src/collective/call.h"
#include "src/collective/host/lanes.h"

#include <cstddef>
#include <string_view>

namespace railhead::collective {

enum class Algorithm { kRing, kDirect };
std::string_view algorithmName(Algorithm algorithm);
Result<Algorithm> parseAlgorithm(std::string_view name);

// One rail's share of a call: elements first .. first + count of the whole buffer, or, where the
// larger buffer holds a part for each rank, of every such part.
struct Share {
  std::size_t first = 0;
  std::size_t count = 0;
};
// The share of rail `rail` of `rails`; together they cover everything once.
Result<Share> shareOf(const Call& call, int ranks, std::size_t rail, std::size_t rails);

// send and receive are the whole buffers of the call.
Result<void> runCall(Lanes& lanes, const Call& call, const Share& share, Algorithm algorithm,
                     const std::byte* send, std::byte* receive);

}  // namespace railhead::collective
