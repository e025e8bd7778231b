// A report on one screen: at most 24 lines of 80 columns.
#pragma once

#include "src/report/model/report.h"
#include "src/report/terminal/style.h"

#include <iosfwd>
#include <string>
#include <vector>

namespace railhead::report {

// Verdict, nodes, pods, bandwidth against its ceiling, latency, time, and the files written.
// Long lists are cut with a line that counts the rest.
void printSummary(std::ostream& out, const Report& report, const TerminalStyle& style,
                  const std::vector<std::string>& files = {});

}  // namespace railhead::report
