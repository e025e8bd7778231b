// What ranks tell of their steps: lines of JSON (docs/reference/trainer-contract.md), and what
// they come to over starts and restarts. Pure functions and value types; no I/O.
#pragma once

#include "src/base/result.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::train {

inline constexpr std::string_view kMetricsSchema = "railhead.metrics/1";

struct Split {  // seconds of a step; absent: not told
  std::optional<double> compute;
  std::optional<double> exposed;  // communication that was waited for
  std::optional<double> hidden;   // communication behind computing
  std::optional<double> data;

  bool operator==(const Split&) const = default;
};

struct StepLine {
  std::uint64_t step = 0;
  std::optional<double> loss;  // absent: not told, or no finite number
  std::optional<std::uint64_t> tokens;
  std::optional<double> seconds;
  Split split;

  bool operator==(const StepLine&) const = default;
};

struct MetricsLine {
  enum class Kind { kStep, kCheckpoint, kFacts, kResumed };
  Kind kind = Kind::kStep;
  StepLine step;                             // its number with every kind but kFacts
  std::string path;                          // of a checkpoint
  std::uint64_t attempt = 0;                 // of kResumed
  std::map<std::string, std::string> facts;  // of kFacts; at most 64

  bool operator==(const MetricsLine&) const = default;
};

// nullopt: it is none of ours, or not whole. Lines over 64 KiB are none.
std::optional<MetricsLine> parseMetricsLine(std::string_view line);
// Whether a line that is none was meant to be one: it names the schema, and is no JSON (NaN is
// none) or has no step from 1 on.
bool isBrokenMetrics(std::string_view line);
// With the newline. `resumed` begins with one, too: the rank before may have died within a line.
std::string resumedLine(std::uint64_t attempt, std::uint64_t step);

struct ToldCheckpoint {
  std::uint64_t step = 0;
  std::string path;  // where the rank sees it
};

// The steps of one rank that count, each once.
class StepSeries {
 public:
  // Lines in the order they were written. A step that comes again takes the place of the earlier
  // one and of all that followed it.
  void add(const MetricsLine& line);

  const std::vector<StepLine>& steps() const { return steps_; }  // ascending
  std::uint64_t lastStep() const { return steps_.empty() ? 0 : steps_.back().step; }
  std::uint64_t lostSteps() const { return lost_; }  // done, and done again or given up
  std::uint64_t tokens() const;
  double seconds() const;
  const std::map<std::string, std::string>& facts() const { return facts_; }
  // The newest that was told and not given up since; nullopt: none.
  std::optional<ToldCheckpoint> newestCheckpoint() const;
  // Whether the line was told already: a step word for word; a checkpoint when one of that step or
  // a later one was, for who goes back says so first.
  bool has(const MetricsLine& line) const;

 private:
  void dropAfter(std::uint64_t step);

  std::vector<StepLine> steps_;
  std::vector<ToldCheckpoint> checkpoints_;  // the newest, ascending
  std::uint64_t lost_ = 0;
  std::map<std::string, std::string> facts_;
};

// Of a rank's whole file; what is not whole or not ours is passed over.
StepSeries seriesOf(std::string_view text);

}  // namespace railhead::train
