// A report's outcome in words, the same in the terminal and on the page. Pure; thread-safe.
#pragma once

#include "src/report/model/report.h"

#include <cstddef>
#include <optional>
#include <string>

namespace railhead::report {

struct Verdict {
  bool good = false;     // the run ended well and every byte was verified
  std::string headline;  // "RDMA verified"
  std::string
      sentence;  // "every byte arrived over both rails, 1.93 × one rail, 96 % of the ceiling"

  std::string line() const { return headline + ": " + sentence; }
};

// How many different rails were measured.
std::size_t railCount(const Rdma& rdma);
// What all of them at once are called: "both rails", "3 rails at once".
std::string allRailsName(const Rdma& rdma);

Verdict verdictOf(const Report& report);

// part of whole; absent when either is, or the whole is 0.
std::optional<double> shareOf(std::optional<double> part, std::optional<double> whole);

// 0.964 → "96 %". Rounded down, so that what falls short of the whole never reads as 100 %.
std::string formatShare(double share);

// Gb/s as "38.4 Mb/s".
std::string formatGbps(double gbps);

}  // namespace railhead::report
