// Whether two runs came out the same: their losses, step by step and rank by rank, and their
// checkpoints, tensor by tensor; and which fields of their manifests differ. Reads only.
#pragma once

#include "src/base/result.h"
#include "src/os/filesystem.h"
#include "src/train/manifest.h"
#include "src/train/run_folder.h"

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace railhead::train {

struct Difference {
  std::uint64_t step = 0;
  std::string what;    // "the loss of rank 0", "tensor wte.weight"
  std::string detail;  // "4.5 and 4.25", "3 of 64 values differ"
  // Over the larger value; infinite where it cannot be measured.
  double relative = std::numeric_limits<double>::infinity();
};

enum class Sameness {
  kBitwise,  // everything that both have, to the last bit, and neither has steps of its own
  kWithin,   // the largest difference is within what was allowed
  kDifferent,
  kNothing,  // there is nothing that both have
};
const char* samenessName(Sameness sameness);  // "bitwise", "within", "different", "nothing"

// What more ranks bring: 1 where twice the ranks do twice the tokens a second.
struct Scaling {
  int fewerRanks = 0;
  int moreRanks = 0;
  double fewerTokensPerSecond = 0;
  double moreTokensPerSecond = 0;
  double efficiency = 0;
};
// nullopt: they have as many ranks, or one told of no tokens or no time.
std::optional<Scaling> scalingOf(const Manifest& first, const Manifest& second);

struct RunComparison {
  Sameness sameness = Sameness::kNothing;
  std::uint64_t steps = 0;        // whose losses were compared
  std::uint64_t checkpoints = 0;  // that were compared
  std::optional<Difference> first;
  double largest = 0;                   // of all relative differences
  std::optional<Scaling> scaling;       // where the numbers of ranks differ
  std::vector<FieldDifference> fields;  // of the manifests
  std::vector<std::string> notes;       // what could not be compared
};

// `within`: the relative difference that is allowed; 0: none. Errors: a run that cannot be read.
Result<RunComparison> compareRuns(os::Filesystem& files, const RunFolder& first,
                                  const RunFolder& second, double within);

}  // namespace railhead::train
