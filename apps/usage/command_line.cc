#include "apps/usage/command_line.h"

#include "apps/usage/command_tree.h"
#include "src/base/text.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <iostream>

#include <CLI/CLI.hpp>
#include <unistd.h>

namespace railhead::usage {
namespace {

// Where the user got to: the last command that was recognised.
struct Place {
  const CLI::App* command;
  std::string path;  // "lab up"; empty at the top
};

Place placeOf(const CLI::App& app) {
  Place place{&app, ""};
  for (bool deeper = true; deeper;) {
    deeper = false;
    for (const CLI::App* child : place.command->get_subcommands()) {
      if (child->get_name().empty()) continue;  // a group of options
      place = {child,
               place.path.empty() ? child->get_name() : place.path + " " + child->get_name()};
      deeper = true;
      break;
    }
  }
  return place;
}

// The words it takes that are no options.
std::vector<std::string> operandNames(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options()) {
    if (option->get_positional()) names.push_back(option->get_name(true));
  }
  return names;
}

std::string unexpected(const std::string& word, const CLI::App& command) {
  const auto commands = commandNames(command);
  if (word.starts_with("-")) {
    return inQuotes(word) + " is no option of it; allowed: " + join(optionNames(command), ", ");
  }
  if (commands.empty()) {
    const auto operands = operandNames(command);
    return inQuotes(word) + " is not expected; allowed: " +
           (operands.empty() ? "options only" : "options and " + join(operands, ", "));
  }
  return inQuotes(word) + " is no command; allowed: " + join(commands, ", ");
}

// What a value that could not be read should have been, by CLI11's name for its type.
std::string allowedFor(const CLI::Option& option) {
  if (option.get_items_expected_max() == 0) return "no value, for it is a flag";
  const std::string type = option.get_type_name();
  if (type.starts_with("UINT")) return "a whole number from 0";
  if (type.starts_with("INT")) return "a whole number";
  return type.starts_with("FLOAT") ? "a number" : type;
}

// CLI11's words, in ours where they name what only the library knows of.
std::string plain(std::string text, const CLI::App& command) {
  if (text.starts_with("[Option Group: ")) text.erase(0, text.find(']') + 1);
  text = std::string(trim(text));
  constexpr std::string_view kConvert = "Could not convert: ";
  constexpr std::string_view kOnce = ": At Most 1 required but received ";
  if (text.starts_with(kConvert)) {
    text.erase(0, kConvert.size());
    const auto equals = text.find(" = ");
    const std::string name = text.substr(0, equals);
    const CLI::Option* option = command.get_option_no_throw(name);
    if (equals == std::string::npos || option == nullptr) return text;
    return name + " is " + inQuotes(text.substr(equals + 3)) + "; allowed: " + allowedFor(*option);
  }
  if (const auto at = text.find(kOnce); at != std::string::npos) {
    return text.substr(0, at) + " is given " + text.substr(at + kOnce.size()) +
           " times; allowed: once";
  }
  if (const auto at = text.find(": 1 required "); at != std::string::npos) {
    return text.substr(0, at) + " needs a value";
  }
  return text;
}

ExitCode refuse(const CLI::App& app, const std::string& path, const std::string& problem,
                std::ostream& err) {
  err << app.get_name() << ": " << path << (path.empty() ? "" : ": ") << problem << '\n'
      << "  remedy: see " << app.get_name() << ' ' << path << (path.empty() ? "" : " ")
      << "--help\n";
  return ExitCode::kUsage;
}

// As placeOf(), before anything was parsed: the first words, as far as they are commands.
std::string pathIn(const CLI::App& app, const std::vector<std::string>& args) {
  std::string path;
  const CLI::App* here = &app;
  for (std::size_t i = 1; i < args.size() && !args[i].empty(); ++i) {
    const auto named =
        here->get_subcommands([&](const CLI::App* child) { return child->get_name() == args[i]; });
    if (named.empty()) break;
    here = named.front();
    path += (path.empty() ? "" : " ") + args[i];
  }
  return path;
}

// A variable that was not set where a value was meant: what would be taken as "not given", or as
// the root of the file system. Behind "--" words are somebody else's.
std::string emptyWord(const std::vector<std::string>& args) {
  for (std::size_t i = 1; i < args.size() && args[i] != "--"; ++i) {
    const std::string& word = args[i];
    if (word.starts_with("--") && word.ends_with("=")) {
      return word.substr(0, word.size() - 1) + " has an empty value";
    }
    if (!word.empty()) continue;
    if (args[i - 1].starts_with("-")) return args[i - 1] + " has an empty value";
    return "word " + std::to_string(i) + " is empty";
  }
  return {};
}

}  // namespace

std::optional<ExitCode> parseCommandLine(CLI::App& app, const std::vector<std::string>& args,
                                         std::ostream& out, std::ostream& err) {
  if (const auto problem = emptyWord(args); !problem.empty())
    return refuse(app, pathIn(app, args), problem, err);
  std::vector<std::string> reversed(args.rbegin(), args.rend());
  if (!reversed.empty()) reversed.pop_back();
  try {
    app.parse(reversed);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {  // --help, --version
      app.exit(error, out, err);
      return ExitCode::kOk;
    }
    // A word that nothing took explains more than what is missing because of it.
    auto words = app.remaining(true);
    std::erase(words, "--");
    const Place place = placeOf(app);
    return refuse(
        app, place.path,
        words.empty() ? plain(error.what(), *place.command) : unexpected(words[0], *place.command),
        err);
  }
  const Place place = placeOf(app);
  const auto commands = commandNames(*place.command);
  const bool aloneToo = !place.path.empty() && place.command->get_require_subcommand_max() == 0;
  if (commands.empty() || aloneToo) return std::nullopt;
  return refuse(app, place.path, "a command is needed; allowed: " + join(commands, ", "), err);
}

void printError(std::ostream& err, const std::string& name, const Error& error) {
  err << name << ": " << error.message << '\n';
  if (!error.remedy.empty()) err << "  remedy: " << error.remedy << '\n';
  err << std::flush;
}

int finishOutput(const std::string& name, int code) {
  errno = 0;
  std::cout.flush();
  if (std::cout) return code;
  // What failed before is tried again, for its reason; a byte more is no worse where some are lost.
  if (std::fflush(stdout) == 0 && ::write(STDOUT_FILENO, "\n", 1) == 1) errno = 0;
  const Error error = errno == 0 ? Error(ErrorCode::kUnavailable, "could not write the output")
                                 : Error::fromErrno(errno, "could not write the output");
  printError(std::cerr, name, error);
  return code == 0 ? static_cast<int>(ExitCode::kFailed) : code;
}

void endWith(const std::string& name, const Error& error) {
  printError(std::cerr, name, error);
  std::_Exit(static_cast<int>(exitCodeFor(error.code)));
}

}  // namespace railhead::usage
