#include "src/bench/collectives/plan.h"

#include "src/base/units.h"

#include <algorithm>
#include <set>
#include <tuple>

namespace railhead::bench {
namespace {

constexpr std::uint64_t kLargest = 1ULL << 40;

Error bad(const std::string& option, const std::string& value, const std::string& allowed) {
  return Error(ErrorCode::kInvalidArgument, option + " " + value + ": expected " + allowed);
}

}  // namespace

Result<void> CollectivePlan::check() const {
  if (operations.empty()) return bad("--operation", "''", "at least one operation");
  if (types.empty()) return bad("--type", "''", "at least one element type");
  if (minBytes < 1 || minBytes > maxBytes) {
    return bad("--min-size", std::to_string(minBytes) + " B",
               "1 B to --max-size, " + std::to_string(maxBytes) + " B");
  }
  if (maxBytes > kLargest)
    return bad("--max-size", std::to_string(maxBytes) + " B", "at most 1 TiB");
  if (!(factor >= 1.1 && factor <= 1024)) {
    return bad("--factor", formatNumber(factor), "1.1 to 1024");
  }
  if (!outOfPlace && !inPlace) return bad("--place", "''", "out, in or both");
  if (!(precision >= 0.001 && precision <= 1)) {
    return bad("--precision", formatNumber(precision), "0.001 to 1");
  }
  if (!(secondsPerSize >= 0.01 && secondsPerSize <= 3600)) {
    return bad("--seconds-per-size", formatNumber(secondsPerSize), "0.01 to 3600");
  }
  if (!(secondsPerCall >= 0.1 && secondsPerCall <= 3600)) {
    return bad("--call-timeout", formatNumber(secondsPerCall), "0.1 to 3600");
  }
  return {};
}

std::vector<std::uint64_t> CollectivePlan::sizes() const {
  std::vector<std::uint64_t> out;
  double next = static_cast<double>(minBytes);
  while (next <= static_cast<double>(maxBytes)) {
    const auto size = static_cast<std::uint64_t>(next);
    if (out.empty() || size > out.back()) out.push_back(size);
    next *= factor;
  }
  return out;
}

std::vector<SweepCase> sweepCases(const CollectivePlan& plan, int ranks) {
  std::vector<SweepCase> out;
  std::set<std::tuple<int, int, bool, std::size_t>> seen;
  for (const auto operation : plan.operations) {
    for (const auto type : plan.types) {
      for (const bool inPlace : {false, true}) {
        if (inPlace ? !plan.inPlace : !plan.outOfPlace) continue;
        for (const auto bytes : plan.sizes()) {
          const std::size_t width = collective::elementBytes(type);
          const std::size_t count =
              bytes / width / static_cast<std::size_t>(ranks) * static_cast<std::size_t>(ranks);
          const collective::Call call{operation, type, count, 0, inPlace};
          if (!collective::shapeOf(call, 0, ranks).has_value()) continue;
          if (!seen.insert({static_cast<int>(operation), static_cast<int>(type), inPlace, count})
                   .second) {
            continue;
          }
          out.push_back({call, count * width});
        }
      }
    }
  }
  return out;
}

}  // namespace railhead::bench
