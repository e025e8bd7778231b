#include "apps/usage/command_line.h"

#include "apps/usage/command_tree.h"
#include "src/base/text.h"

#include <cstdlib>
#include <iostream>

#include <CLI/CLI.hpp>

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

std::string unexpected(const std::string& word, const CLI::App& command) {
  const auto commands = commandNames(command);
  if (word.starts_with("-")) {
    return inQuotes(word) + " is no option of it; allowed: " + join(optionNames(command), ", ");
  }
  if (commands.empty()) return inQuotes(word) + " is not expected";
  return inQuotes(word) + " is no command; allowed: " + join(commands, ", ");
}

// CLI11's words without the name it has for a group of options.
std::string plain(std::string text) {
  if (text.starts_with("[Option Group: ")) text.erase(0, text.find(']') + 1);
  return std::string(trim(text));
}

ExitCode refuse(const CLI::App& app, const std::string& problem, std::ostream& err) {
  const Place place = placeOf(app);
  const std::string& path = place.path;
  err << app.get_name() << ": " << path << (path.empty() ? "" : ": ") << problem << '\n'
      << "  remedy: see " << app.get_name() << ' ' << path << (path.empty() ? "" : " ")
      << "--help\n";
  return ExitCode::kUsage;
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
  if (const auto problem = emptyWord(args); !problem.empty()) return refuse(app, problem, err);
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
    return refuse(app, words.empty() ? plain(error.what()) : unexpected(words[0], *place.command),
                  err);
  }
  const Place place = placeOf(app);
  const auto commands = commandNames(*place.command);
  const bool aloneToo = !place.path.empty() && place.command->get_require_subcommand_max() == 0;
  if (commands.empty() || aloneToo) return std::nullopt;
  return refuse(app, "a command is needed; allowed: " + join(commands, ", "), err);
}

void printError(std::ostream& err, const std::string& name, const Error& error) {
  err << name << ": " << error.message << '\n';
  if (!error.remedy.empty()) err << "  remedy: " << error.remedy << '\n';
  err << std::flush;
}

void endWith(const std::string& name, const Error& error) {
  printError(std::cerr, name, error);
  std::_Exit(static_cast<int>(exitCodeFor(error.code)));
}

}  // namespace railhead::usage
