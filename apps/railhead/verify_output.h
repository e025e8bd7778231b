// What `railhead verify` shows a person.
#pragma once

#include "src/base/result.h"

#include <iosfwd>
#include <string_view>

namespace railhead::app {

// Verdict on top in words, each direction with its evidence, what to do. kCorrupt: no such JSON.
Result<void> printVerify(std::ostream& out, std::string_view json);

}  // namespace railhead::app
