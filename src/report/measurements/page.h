// Measurements as one page that needs nothing else: no network, no other file. Pure; thread-safe.
#pragma once

#include "src/report/measurements/statement.h"

#include <string>

namespace railhead::report {

// Every text of a file is untrusted: it enters the page escaped or as text.
std::string toHtml(const Measurements& measurements);

// The data that the page shows, one line: docs/reference/report.md, "Measurements".
std::string toJson(const Measurements& measurements);

}  // namespace railhead::report
