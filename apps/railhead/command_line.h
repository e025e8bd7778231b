// The operator's command line as a unit: main() and the tests call the same function.
#pragma once

#include "src/base/error.h"
#include "src/report/terminal/style.h"

#include <iosfwd>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace railhead::app {

// What a command writes to, and what it leaves behind. One per process run; not thread-safe.
struct Context {
  std::ostream& out;    // results: text or JSON
  std::ostream& err;    // progress and errors
  bool terminal;        // err is a terminal: progress may redraw
  std::string program;  // path of this executable, to start itself again
  ExitCode exitCode = ExitCode::kOk;
};

// How progress may be drawn on err: nothing is redrawn unless it is a terminal that can.
report::TerminalStyle progressStyle(const Context& context);

// Prints an error the way every command does and sets the exit code from its class, unless it is
// that of a signal already.
void fail(Context& context, const Error& error);

// args[0] is the program's name. Bad usage is answered here with exit code 2.
ExitCode runCommandLine(const std::vector<std::string>& args, Context& context);

}  // namespace railhead::app
