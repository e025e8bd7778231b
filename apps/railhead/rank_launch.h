// Starts the ranks of a command where --on says, and gives back rank 0's result.
#pragma once

#include "apps/railhead/command_line.h"
#include "apps/railhead/rank_options.h"
#include "src/base/result.h"

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::app {

struct RankLaunch {
  std::vector<std::string>
      command;  // "bench", "collectives" and its options but for those of ranks
  const RankOptions& options;
  // A line that a rank wrote to its standard error, while it runs; may be empty.
  std::function<void(int rank, std::string_view line)> onLine;
};

struct Launched {
  std::string result;   // rank 0's, JSON
  std::string objects;  // with --dry-run: what would have been created; nothing was started
};

// An Error has the class that the failed rank's exit code means, and its reason; Ctrl-C sets the
// exit code of the context and gives kUnavailable "interrupted". A result that came before a
// failure is kept beside it in `partial`.
Result<Launched> launchRanks(const RankLaunch& launch, Context& context,
                             std::string* partial = nullptr);

}  // namespace railhead::app
