// What `railhead tune` shows while it searches, and what it found.
#pragma once

#include "src/base/result.h"
#include "src/bench/collectives/overlap.h"
#include "src/tune/profile.h"
#include "src/tune/search.h"
#include "src/tune_run/facts.h"

#include <cstdint>
#include <iosfwd>
#include <map>
#include <optional>
#include <string>

namespace railhead::app {

struct TuneReport {
  tune::GangFacts facts;
  tune::Objective objective;
  tune::SearchResult result;
  std::uint64_t seed = 1;
  std::optional<tune::Profile> profile;  // of a validated result
  std::string profilePath;               // where it was written; may be empty
  std::string recordsPath;               // what --resume takes; may be empty
  // What stood beside the calls of overlapped sizes; none of those that only records told of.
  std::map<tune::Size, bench::OverlapWork> work;
};

// What the ranks are, in one line: records and grids are of no use elsewhere.
std::string fabricText(const tune::GangFacts& facts);

// "+12.3 % (+11.0 to +13.5)"; "none" without a measurement.
std::string gainText(const tune::Gain& gain);

// "screening: 12 trials, best so far +8.1 % (+6.0 to +10.3), 4 min left".
std::string tuneProgressLine(const tune::Progress& progress);

std::string toJson(const TuneReport& report);
void printTune(std::ostream& out, const TuneReport& report);
void printProfile(std::ostream& out, const tune::Profile& profile);
std::string profileJson(const tune::Profile& profile);

}  // namespace railhead::app
