// Other device plugins on this node.
#pragma once

#include <string>
#include <string_view>

namespace railhead::agent {

// The first file in `folder`, by name, that begins with `prefix` and is the socket of a living
// process; empty when there is none. Asks each for at most 100 ms.
std::string findLivingSocket(const std::string& folder, std::string_view prefix);

}  // namespace railhead::agent
