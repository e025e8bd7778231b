// Moves bytes over connected rails and times it. One thread drives every rail in round robin.
#pragma once

#include "src/base/result.h"
#include "src/base/statistics.h"
#include "src/base/units.h"
#include "src/bench/open_rail.h"
#include "src/bench/verbs_plan.h"

#include <cstdint>
#include <vector>

namespace railhead::bench {

// How long a rail may stand still before it counts as dead.
inline constexpr std::chrono::seconds kStallLimit{10};

struct RailTraffic {
  std::uint64_t messages = 0;  // written in all, and acknowledged
  BitRate rate;
  Summary intervals;  // Gb/s in ten equal intervals
};

// Writes for `seconds` over all given rails at once, then waits for every acknowledgement and sends
// the fences. The rate is taken between the first and the last acknowledgement within the time, so
// that neither filling nor emptying the pipe counts. `controlFd` becoming readable means that the
// peer left.
Result<std::vector<RailTraffic>> writeForTime(const std::vector<OpenRail*>& rails,
                                              const VerbsPlan& plan, int controlFd);

// Writes the whole outgoing buffer once, then the fences.
Result<void> writeBuffer(OpenRail& rail, int controlFd);

// Round trips of one 8-byte write each way, the receivers polling memory. Samples are half round
// trips in microseconds. The last message tells the peer to stop.
Result<std::vector<double>> pingPong(OpenRail& rail, const VerbsPlan& plan, int controlFd);
// The other side of pingPong: answers until the last message.
Result<void> echo(OpenRail& rail, int controlFd);

}  // namespace railhead::bench
