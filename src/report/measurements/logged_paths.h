// What NCCL's log of a run said of its directions: folded to what a page shows, and in words.
// Private to this folder.
#pragma once

#include "src/report/measurements/statement.h"

#include <nlohmann/json_fwd.hpp>

namespace railhead::report {

// Of a railhead.verify-log/1 whose fields were checked: leaves the first direction of each kind,
// with how many are alike in `alike`, and in `causes` those of all directions, 64 at most. A log of
// thousands of directions has a few kinds.
void foldDirections(nlohmann::json& document);

// `document`: folded.
Statement logStatement(const nlohmann::json& document);

}  // namespace railhead::report
