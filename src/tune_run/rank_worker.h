// A rank of a tuning gang: takes orders, measures, tells. Every rank runs the same; rank 0 hands
// the orders on to the others through the group.
#pragma once

#include "src/base/result.h"
#include "src/collective/communicator.h"
#include "src/collective/compute.h"
#include "src/collective/group.h"
#include "src/os/clock.h"
#include "src/tune_run/talk.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace railhead::tune {

struct RankWorker {
  collective::Communicator& communicator;
  collective::Group& group;
  os::Clock& clock;
  // Takes the choice for the calls to come; an error: it cannot be taken here.
  std::function<Result<void>(const Setting& choice)> choose;
  // Of rank 0: waits for the next line; nothing: there are no more.
  std::function<std::optional<std::string>()> nextOrder;
  std::function<void(const std::string& reply)> reply;  // a line without mark and newline
  double secondsPerCall = 10;
  std::uint32_t seed = 1;  // of the data that is checked
  // Opens what overlapped sizes have beside them, when the first of them is ordered. Every rank
  // calls it then. Empty: there is none here.
  std::function<Result<std::unique_ptr<collective::Compute>>()> openCompute = {};
  std::string sizeOption = "--max-size";  // which the sizes came by: named when one does not fit
};

// Tells what the ranks are, then serves orders until there are no more. An error was told to the
// launcher and to the other ranks before it is returned; the communicator is not used again then.
Result<void> serveOrders(const RankWorker& rank, const RankFacts& own);

}  // namespace railhead::tune
