// A run as one JSON document, railhead.train.run/1 (docs/reference/train.md): its manifest and what
// its first rank told of the steps. What `train show` prints and `report` draws.
#pragma once

#include "src/train/run_folder.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace railhead::app {

// Sums over the steps that told of a split and of their time. Absent: no step told of that part.
struct SplitSums {
  std::uint64_t steps = 0;
  double seconds = 0;
  train::Split parts;
};
SplitSums splitSums(const std::vector<train::StepLine>& steps);

// Every 1st, 2nd, 4th, 8th... of them, and the last one: so many that they are at most `most` (2 or
// more). Of two runs that tell the same steps, what is kept of the longer one is kept of the other.
std::vector<train::StepLine> thinned(const std::vector<train::StepLine>& steps, std::size_t most);

// Pure. One line; its size is bounded whatever the run did.
std::string trainDocument(const train::Manifest& manifest, const train::StepSeries& series,
                          const std::string& state);

// The manifest's state; "killed" where nobody watches one that says that it runs.
std::string stateOf(const train::RunFolder& run, const train::Manifest& manifest);

struct ReadRun {
  // Brought up to date where it has no end; the last start of a killed one ended as "killed".
  train::Manifest manifest;
  train::StepSeries series;  // of rank 0
  std::string state;
};
Result<ReadRun> readRun(const train::RunFolder& run);

}  // namespace railhead::app
