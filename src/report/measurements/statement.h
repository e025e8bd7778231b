// What measurements come to, in words: the outcome of each file, the one that matters most first.
// Pure; thread-safe.
#pragma once

#include "src/report/html/page_template.h"
#include "src/report/measurements/measurement.h"

#include <string>
#include <vector>

namespace railhead::report {

struct Statement {
  PageTone tone = PageTone::kOpen;
  std::string about;  // "verify", "verify-log", "doctor", "collectives", "verbs", "tune",
                      // "compare", "train", "runs"
  std::string file;   // "" of a comparison
  std::string headline;
  std::string sentence;
  std::vector<std::string> actions;  // what the reader can do
};

// One for each file and one for each comparison. The worst tone comes first; of one tone, what says
// more: verify, verify-log, doctor, runs (two of them), train, compare (two sweeps), collectives,
// tune, verbs.
std::vector<Statement> statementsOf(const Measurements& measurements);

// Every action once, in the order of the statements.
std::vector<std::string> actionsOf(const std::vector<Statement>& statements);

}  // namespace railhead::report
