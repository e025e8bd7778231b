// NCCL's logs of a run that others started, from files.
#pragma once

#include "src/base/result.h"
#include "src/verify/nccl_log.h"

#include <string>
#include <vector>

namespace railhead::app {

// All files together, each at most 256 MiB; "-" is standard input. An error names the file.
Result<void> readNcclLogs(const std::vector<std::string>& paths, verify::NcclLog& log,
                          std::vector<std::string>* silent = nullptr);

}  // namespace railhead::app
