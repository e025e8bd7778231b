// What the launcher of a tuning gang and its ranks say to each other, one line of JSON each: orders
// go to rank 0's standard input, replies come on any rank's standard error behind kReplyMark. What
// is decoded is not trusted and bounded. Pure functions; value types.
#pragma once

#include "src/base/result.h"
#include "src/bench/collectives/overlap.h"
#include "src/collective/call.h"
#include "src/tune/trial.h"
#include "src/tune_run/facts.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::tune {

// Before a reply, among a rank's other words.
inline constexpr std::string_view kReplyMark = "railhead-tune ";
// A reply is a line of at most 4 KiB (src/launch/gang.h): times of more repetitions would not fit.
inline constexpr int kMaxOrderRepetitions = 100;

// Whether ranks that run can switch it; any other knob wants new ranks.
bool isPerSizeKnob(std::string_view knob);
struct Layers {
  Setting process;
  Setting choice;
};
Layers layersOf(const Setting& setting);

// "allreduce" for all_reduce: as the tuner's table names it.
std::string sizeOperation(collective::Operation operation);
Result<collective::Operation> parseSizeOperation(std::string_view name);

struct Order {
  std::uint64_t number = 0;  // from 1, a new one each time
  Setting choice;            // of knobs that isPerSizeKnob()
  std::vector<Size> sizes;
  int repetitions = 1;
  // Of compute beside a call, by size; what is not there is 0. An overlapped size without any wants
  // its work chosen, and a WorkReply.
  std::vector<std::uint64_t> units = {};

  std::uint64_t unitsOf(std::size_t size) const { return size < units.size() ? units[size] : 0; }
  bool choosesWork(std::size_t size) const { return sizes[size].overlapped && unitsOf(size) == 0; }
};
std::string encode(const Order& order);  // with its newline
Result<Order> decodeOrder(std::string_view line);

// What a rank is, told once by rank 0 for each rank when all are ready.
struct FactsReply {
  std::uint64_t rank = 0;
  std::uint64_t ranks = 1;
  RankFacts facts;
};
struct TimesReply {
  std::uint64_t order = 0;
  std::uint64_t size = 0;       // its place in the order
  std::vector<double> seconds;  // by repetition; of an overlapped size those of the pair
};
struct WorkReply {
  std::uint64_t order = 0;
  std::uint64_t size = 0;
  bench::OverlapWork work;
};
struct FailedReply {
  Outcome outcome = Outcome::kCrashed;
  std::string detail;
};
struct Reply {  // one of them
  std::optional<FactsReply> facts;
  std::optional<TimesReply> times;
  std::optional<FailedReply> failed;
  std::optional<WorkReply> work = {};
};
// One line each, without mark and newline.
std::string encode(const FactsReply& reply);
std::string encode(const TimesReply& reply);
std::string encode(const WorkReply& reply);
std::string encode(const FailedReply& reply);
Result<Reply> decodeReply(std::string_view line);

}  // namespace railhead::tune
