// JSON of lab_status.h, found by nlohmann's own lookup. Include in .cc files only.
#pragma once

#include "lab/keeper/lab_status.h"

#include <nlohmann/json_fwd.hpp>

namespace railhead::lab {

void to_json(nlohmann::json& value, const LabStatus& status);
void from_json(const nlohmann::json& value, LabStatus& status);
void to_json(nlohmann::json& value, const LinkStatus& status);
void from_json(const nlohmann::json& value, LinkStatus& status);

}  // namespace railhead::lab
