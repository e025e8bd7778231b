// Training runs in words, and two of them held against each other. Private to this folder. Pure;
// thread-safe. A document is one that readMeasurement() took.
#pragma once

#include "src/report/measurements/measurement.h"
#include "src/report/measurements/statement.h"

#include <optional>
#include <string>

#include <nlohmann/json_fwd.hpp>

namespace railhead::report {

Statement trainStatement(const nlohmann::json& document);

struct LossDifference {
  double step = 0;  // the first one told by both whose losses differ
  // The last one before it whose losses are the same: they part behind it. Absent: there is none.
  std::optional<double> equalUntil;
  std::optional<double> first, second;  // the losses; absent: none
};

// What more ranks bring: 1 where twice the ranks do twice the tokens a second.
struct Scaling {
  double fewerRanks = 0, moreRanks = 0;
  double fewerTokensPerSecond = 0, moreTokensPerSecond = 0;
  double efficiency = 0;
};

struct RunsCompared {
  std::string first, second;  // ids
  std::size_t steps = 0;      // that both told with a loss
  bool replay = false;        // one does the other again
  bool alike = false;         // command, seed and ranks are the same
  std::optional<LossDifference> difference;
  std::optional<Scaling> scaling;  // where the numbers of ranks differ and both told of tokens
};

// nullopt unless there are exactly two runs.
std::optional<RunsCompared> comparedRuns(const Measurements& measurements);
Statement runsStatement(const RunsCompared& runs);

}  // namespace railhead::report
