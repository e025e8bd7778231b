// A Node for programs and for people. Pure functions; thread-safe.
#pragma once

#include "src/discover/node.h"
#include "src/discover/twins.h"

#include <string>

namespace railhead::discover {

// Indented JSON, every field present, newline at the end. Absent values are null.
std::string toJson(const Node& node, const Cages& cages);

// A few lines a PF, for a terminal. Control characters are replaced: names come from outside.
std::string describe(const Node& node, const Cages& cages);

}  // namespace railhead::discover
