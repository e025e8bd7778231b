// A verbs benchmark's result as text for people.
#pragma once

#include "src/bench/verbs_report.h"

#include <iosfwd>

namespace railhead::app {

void printVerbsReport(std::ostream& out, const bench::VerbsReport& report);

}  // namespace railhead::app
