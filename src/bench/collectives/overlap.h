// How much compute stands beside a call when a collective is measured overlapped, and what both
// take alone.
//
// The work beside a call is a fixed number of units, chosen once, so that it takes alone as long as
// the call does alone. What is then measured is the pair (runSweep with a Beside): with perfect
// overlap it takes as long as one of the two alone, one behind the other as long as both. A setting
// whose call is faster alone, but takes cores or multiprocessors from the compute, has a longer
// pair.
#pragma once

#include "src/base/result.h"
#include "src/bench/collectives/sweep.h"

#include <cstdint>
#include <string_view>

namespace railhead::bench {

// The same on every rank: of means over the ranks.
struct OverlapWork {
  std::uint64_t unitsPerCall = 0;  // from 1
  double callSeconds = 0;          // a call alone
  double computeSeconds = 0;       // unitsPerCall alone
  double pairSeconds = 0;          // both together

  bool operator==(const OverlapWork&) const = default;
};

// Every rank calls it, with a plan of one case. Errors as of runSweep; its failure (wrong bytes) is
// one here, kCheckFailed; kUnsupported: the backend has no such call.
Result<OverlapWork> chooseOverlapWork(collective::Communicator& communicator,
                                      collective::Group& group, const CollectivePlan& plan,
                                      os::Clock& clock, collective::Compute& compute);

// kCheckFailed: the workers did not count what was begun, so what was timed is no pair.
Result<void> checkWorkedOff(collective::Compute& compute, std::uint64_t unitsBefore,
                            std::uint64_t least);

// The share of the shorter of the two that the pair hid: 1, it cost nothing; 0, one came behind the
// other; less: worse than that.
double hiddenShare(const OverlapWork& work, double pairSeconds);

}  // namespace railhead::bench
