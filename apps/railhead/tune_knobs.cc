#include "apps/railhead/tune_knobs.h"

#include "src/tune/grid.h"

#include <CLI/CLI.hpp>

namespace railhead::app {

void addKnobOption(CLI::App* command, KnobWords& knobs) {
  command
      ->add_option("--knob", knobs,
                   "vary this one only, like channels or channels=2,8; several times for several. "
                   "Default: all that matter there")
      ->allow_extra_args(false);
}

Result<tune::Space> narrowedBy(const KnobWords& knobs, const tune::Space& space) {
  if (knobs.empty()) return space;
  std::vector<tune::KnobChoice> choices;
  for (const std::string& word : knobs) {
    RAILHEAD_TRY_ASSIGN(auto choice, tune::parseKnobChoice(word).addContext("--knob"));
    choices.push_back(std::move(choice));
  }
  return tune::narrowed(space, choices).addContext("--knob");
}

}  // namespace railhead::app
