// What `railhead bench collectives` and `compare` show, and how they keep and read results.
#pragma once

#include "src/base/result.h"
#include "src/bench/collectives/compare.h"
#include "src/bench/collectives/sweep.h"

#include <iosfwd>
#include <string>
#include <string_view>

namespace railhead::app {

// Before each line of progress that a rank writes for whoever started it.
inline constexpr const char* kProgressMark = "railhead-progress ";

// "all_reduce 1 MiB float32: 12.3 GB/s bus (84 µs)".
std::string progressLine(const bench::SweepLine& line);

// The table of a sweep's JSON.
Result<void> printSweep(std::ostream& out, std::string_view json);
void printComparison(std::ostream& out, const bench::Comparison& comparison);

// The same JSON without line breaks.
std::string oneLine(std::string_view json);

}  // namespace railhead::app
