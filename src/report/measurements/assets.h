// What the page of measurements has beside the demo page's files (cmake/railhead_embed.cmake).
#pragma once

#include "src/report/html/assets.h"

namespace railhead::report {

// uPlot with its licence, the style, and the scripts in the order they are joined. Lives as long as
// the program.
std::span<const EmbeddedFile> measurementAssets();

}  // namespace railhead::report
