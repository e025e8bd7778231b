// Whose sockets are in a folder. Sockets are this machine's, whatever root files are read below.
#pragma once

#include <string>
#include <string_view>

namespace railhead::os {

// The first file in `folder`, by name, that begins with `prefix` and is the socket of a living
// process; empty when there is none. Asks each for at most 100 ms.
std::string findLivingSocket(const std::string& folder, std::string_view prefix);

}  // namespace railhead::os
