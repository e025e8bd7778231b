// Where the emulated nodes' image lies.
#pragma once

#include <string>

namespace railhead::app {

// `asked` made absolute, or without it what the build left beside `program`, or what a package
// installed.
std::string imagePath(const std::string& asked, const std::string& program);

}  // namespace railhead::app
