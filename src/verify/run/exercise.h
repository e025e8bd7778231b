// What every rank does to be judged: data to the next rank and from the previous one, checked byte
// by byte, with the counters of its node read before and after.
#pragma once

#include "src/base/result.h"
#include "src/collective/communicator.h"
#include "src/collective/group.h"
#include "src/netlink/ethtool.h"
#include "src/os/clock.h"
#include "src/os/filesystem.h"
#include "src/os/host_paths.h"
#include "src/verify/run/rank_account.h"

#include <functional>
#include <string>
#include <vector>

namespace railhead::verify {

struct ExercisePlan {
  std::uint64_t messageBytes = 4 << 20;  // of one call
  double seconds = 3;                    // of moving data, about
  double callTimeout = 30;               // seconds for one call
  std::uint32_t seed = 1;
};

// The node's side of it: outlives the call.
struct ExerciseNode {
  os::Filesystem& files;
  os::HostPaths paths;
  netlink::DriverCounters* driver = nullptr;  // null: without the driver's own counters
  os::Clock& clock;
  std::vector<InterfaceName> rails;       // the rank's; every other netdev is read as well
  netlink::RdmaCounters* rdma = nullptr;  // null: without the counters that sysfs hides
};

// Fills what the exercise finds out into `account`; who knows more (CUDA, the log) adds it. All
// ranks call it together. kInvalidArgument: messages of that size would not fit the memory of a
// rank, and nothing was taken of it. kUnavailable, kDeadlineExceeded: a rank or a call did not come
// back. A wrong byte is no Error: it is in the account.
Result<void> exercise(collective::Communicator& communicator, collective::Group& group,
                      const ExercisePlan& plan, ExerciseNode& node, RankAccount& account);

// Every rank's account on every rank, in order.
Result<std::vector<RankAccount>> exchangeAccounts(collective::Group& group,
                                                  const RankAccount& account);

}  // namespace railhead::verify
