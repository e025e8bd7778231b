// Leaves a report on disk.
#pragma once

#include "src/base/result.h"
#include "src/os/filesystem.h"
#include "src/report/model/report.h"

#include <string>
#include <vector>

namespace railhead::report {

// Makes `directory` when it is missing and replaces report.json and report.html in it, each
// atomically. Returns their paths.
Result<std::vector<std::string>> writeReport(os::Filesystem& files, const std::string& directory,
                                             const Report& report);

}  // namespace railhead::report
