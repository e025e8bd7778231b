// What `railhead bench collectives` measures, and within which limits. Value types; pure.
#pragma once

#include "src/base/result.h"
#include "src/collective/call.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::bench {

struct CollectivePlan {
  std::vector<collective::Operation> operations = {collective::Operation::kAllReduce};
  std::vector<collective::ElementType> types = {collective::ElementType::kFloat32};
  std::uint64_t minBytes = 8;
  std::uint64_t maxBytes = 64 << 20;
  double factor = 2;  // from one size to the next
  bool outOfPlace = true;
  bool inPlace = true;         // where the operation can
  double precision = 0.02;     // half of the 95 % interval, as a share of the mean
  double secondsPerSize = 2;   // spent at most on one line, however wide its interval is then
  double secondsPerCall = 30;  // after that a call that does not end has failed
  std::uint32_t seed = 1;
  // So many samples of a line, whatever their interval and time; 0: as the two above say.
  std::size_t exactSamples = 0;

  // kInvalidArgument names the option, its value and what is allowed.
  Result<void> check() const;
  // Ascending, from minBytes to at most maxBytes.
  std::vector<std::uint64_t> sizes() const;
};

// One line of the result: what every rank calls.
struct SweepCase {
  collective::Call call;
  std::uint64_t bytes = 0;  // of the larger buffer, as it really is
};
// Every combination, in the order of operation, type, in place, size. A size is rounded down to
// what the ranks can share; one that leaves nothing, or that came before, is left out.
std::vector<SweepCase> sweepCases(const CollectivePlan& plan, int ranks);

}  // namespace railhead::bench
