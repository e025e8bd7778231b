// `railhead verify --log`: what the NCCL logs of a run say, and what they leave open. No rank runs.
#pragma once

#include "src/base/result.h"
#include "src/verify/nccl_log.h"

#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::app {

// The document "railhead.verify-log/1" (docs/reference/verify.md).
std::string verifyLogJson(const verify::NcclLog& log, const std::vector<std::string>& files);

// That document for a person: directions that say the same stand in one row. kCorrupt: it is none.
Result<void> printVerifyLog(std::ostream& out, std::string_view json);

// kCheckFailed when the log tells of no direction: what to do about it.
Result<void> checkTold(const verify::NcclLog& log);

}  // namespace railhead::app
