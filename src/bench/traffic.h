// Moves bytes over connected rails and times it. One thread drives every rail in round robin.
//
// `controlFd` becoming readable means that the peer left: kUnavailable. Rails that stand still for
// kStallLimit and the time that a message on each queue pair takes on a slow line (4 Mb/s), or a
// request that fails, are kCheckFailed with the rails' names.
#pragma once

#include "src/base/result.h"
#include "src/base/statistics.h"
#include "src/base/units.h"
#include "src/bench/open_rail.h"
#include "src/bench/verbs_plan.h"

#include <chrono>
#include <functional>
#include <vector>

namespace railhead::bench {

// How long a rail may stand still with small messages before it counts as dead.
inline constexpr std::chrono::seconds kStallLimit{10};

struct RailTraffic {
  BitRate rate;
  Summary intervals;  // Gb/s in ten equal intervals
  double messagesPerSecond = 0;
  Summary messageIntervals;  // messages per second in the same intervals
};

// Keeps `load` in flight on all given rails at once for its time, then waits for every
// acknowledgement and, of writes and sends, sends the fences. The rates are taken between the first
// and the last acknowledgement within the time, so that neither filling nor emptying the pipe
// counts. Every slot is used at least once.
Result<std::vector<RailTraffic>> moveForTime(const std::vector<OpenRail*>& rails,
                                             const VerbsLoad& load, int controlFd);

// Moves every slot of the load once, then the fences.
Result<void> moveOnce(OpenRail& rail, const VerbsLoad& load, int controlFd);

// Takes what the peer writes or sends until its fences are there on every rail that expects some.
Result<void> receive(const std::vector<OpenRail*>& rails, int controlFd);

// Round trips of one 8-byte write or send each way. Where the CPU sees what arrives, it polls
// memory, else completions. Samples are half round trips in microseconds. The last message tells
// the peer to stop.
Result<std::vector<double>> pingPong(OpenRail& rail, const VerbsPlan& plan, int controlFd);
// The other side of pingPong: tells `ready` once it can take a message, then answers until the
// last.
Result<void> echo(OpenRail& rail, int controlFd, const std::function<Result<void>()>& ready);

// Reads of 8 bytes, one at a time; the peer's CPU takes no part. Samples are whole reads in
// microseconds.
Result<std::vector<double>> readAlone(OpenRail& rail, const VerbsPlan& plan, int controlFd);

}  // namespace railhead::bench
