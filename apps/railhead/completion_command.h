// `railhead completion bash|zsh|fish`: prints a completion script made from the command tree
// itself.
#pragma once

#include "apps/railhead/command_line.h"

namespace railhead::app {

void addCompletionCommand(CLI::App& app, Context& context);

}  // namespace railhead::app
