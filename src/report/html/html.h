// A report as one page that needs nothing else: no network, no other file. Pure; thread-safe.
#pragma once

#include "src/report/model/report.h"

#include <string>

namespace railhead::report {

// Every text of the report is treated as untrusted: it enters the page escaped or as text. A
// content-security policy in the page forbids it to load anything.
std::string toHtml(const Report& report);

}  // namespace railhead::report
