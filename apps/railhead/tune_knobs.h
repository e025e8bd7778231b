// The option --knob: only a part of a space.
#pragma once

#include "src/base/result.h"
#include "src/tune/space.h"

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace railhead::app {

// "channels" or "channels=2,8", as given.
using KnobWords = std::vector<std::string>;

void addKnobOption(CLI::App* command, KnobWords& knobs);

// Without words the whole space. kInvalidArgument names the option.
Result<tune::Space> narrowedBy(const KnobWords& knobs, const tune::Space& space);

}  // namespace railhead::app
