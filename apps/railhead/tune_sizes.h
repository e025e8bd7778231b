// The sizes a search is over, and what counts among them.
#pragma once

#include "src/base/result.h"
#include "src/tune/objective.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
}

namespace railhead::app {

struct TuneSizes {
  std::vector<std::string> operations = {"all_reduce"};  // as bench collectives names them
  std::uint64_t minBytes = 1 << 10;
  std::uint64_t maxBytes = 64 << 20;
  double factor = 4;

  void addTo(CLI::App* command);
};

// As so many ranks share them; overlapped: with compute beside each call. kInvalidArgument names
// the option.
Result<std::vector<tune::Size>> sizesFor(const TuneSizes& sizes, int ranks, bool overlapped);

// "bandwidth", "latency", "histogram=FILE" or "overlapped". kInvalidArgument: what is none.
Result<tune::ObjectiveKind> parseTuneObjective(const std::string& text);

// For so many ranks, which share each size evenly. kInvalidArgument names the option.
Result<tune::Objective> objectiveOf(const std::string& text, const TuneSizes& sizes, int ranks);

// Lines of "OPERATION BYTES COUNT"; what follows '#' is a remark. kInvalidArgument names `source`
// and the line.
Result<std::vector<tune::WeightedSize>> parseHistogram(std::string_view text,
                                                       const std::string& source, int ranks);

}  // namespace railhead::app
