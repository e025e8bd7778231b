// `PROGRAM completion bash|zsh|fish`: a completion script made from the command tree itself.
#pragma once

#include <iosfwd>

namespace CLI {
class App;
}

namespace railhead::usage {

// Adds the command to `app`, whose name is the program's. Both outlive the parsing.
void addCompletionCommand(CLI::App& app, std::ostream& out);

}  // namespace railhead::usage
