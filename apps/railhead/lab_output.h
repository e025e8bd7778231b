// What `railhead lab` prints. Pure; tested as text.
#pragma once

#include "lab/keeper/lab_status.h"

#include <string>

namespace railhead::app {

std::string bootLine(const lab::BootEvent& event);
std::string statusText(const lab::LabStatus& status);
std::string linkText(const lab::LinkStatus& link);  // one line without a line end

}  // namespace railhead::app
