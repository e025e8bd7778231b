// How every Railhead program reads its command line: one wording for wrong usage, exit code 2.
// Not thread-safe; no I/O but on the streams given.
#pragma once

#include "src/base/error.h"

#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace railhead::usage {

// Parses args (args[0] is the program's name) and runs the chosen command's callback. nullopt: a
// command ran, and what came of it is the caller's. Else the exit code: kOk after --help and
// --version, kUsage after one line on `err` that begins with the program's name, names the word
// that was wrong and what is allowed, and a remedy. A command with commands below it needs one of
// them; do not ask CLI11 for that (require_subcommand), it would not name an unknown word. One
// below the top that may stand alone says require_subcommand(0).
std::optional<ExitCode> parseCommandLine(CLI::App& app, const std::vector<std::string>& args,
                                         std::ostream& out, std::ostream& err);

// "NAME: what is wrong" and, where there is one, "  remedy: what to do" on a line of its own.
void printError(std::ostream& err, const std::string& name, const Error& error);

// To be called last: what is left of standard output goes out. The program's exit code: `code`, or
// kFailed instead of kOk after one line on standard error, when the output could not be written.
int finishOutput(const std::string& name, int code);

// The same on standard error; then the process ends with the error's exit code, whatever its
// threads wait for: what connects in a library cannot be called off.
[[noreturn]] void endWith(const std::string& name, const Error& error);

}  // namespace railhead::usage
