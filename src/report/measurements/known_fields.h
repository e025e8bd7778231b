// The fields of a measurement that a page reads, and whether a document has them. Private to this
// folder.
#pragma once

#include "src/base/result.h"
#include "src/report/measurements/measurement.h"

#include <nlohmann/json_fwd.hpp>

namespace railhead::report {

// Every known field of `kind` is there with its type, and nothing is larger than a page may be.
// kInvalidArgument names the field, its value and what is allowed.
Result<void> checkFields(MeasurementKind kind, const nlohmann::json& document);

}  // namespace railhead::report
