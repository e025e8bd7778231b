// The machine the demo runs on, for the report.
#pragma once

#include "lab/client/lab_client.h"
#include "src/report/model/report.h"

#include <chrono>
#include <string>

namespace railhead::lab {

// What cannot be found out stays empty.
report::Environment hostPicture(const LabOptions& options);

std::string timestamp(std::chrono::system_clock::time_point time);  // RFC 3339, UTC, seconds

}  // namespace railhead::lab
