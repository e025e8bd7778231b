#include "apps/usage/completion.h"

#include "apps/usage/command_tree.h"
#include "src/base/text.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <ostream>

#include <CLI/CLI.hpp>

namespace railhead::usage {
namespace {

using Tree = std::map<std::string, std::vector<std::string>>;

// "railhead-agent" as a part of a shell function's name.
std::string identifier(std::string program) {
  std::replace(program.begin(), program.end(), '-', '_');
  return program;
}

// Every path but the program itself, each in quotes. Names and options hold no quotes of their own.
std::string quotedPaths(const Tree& tree, const std::string& between) {
  std::vector<std::string> paths;
  for (const auto& [path, words] : tree) {
    if (!path.empty()) paths.push_back("'" + path + "'");
  }
  return join(paths, between);
}

std::string selected(const std::vector<std::string>& words, bool options) {
  std::vector<std::string> out;
  std::copy_if(words.begin(), words.end(), std::back_inserter(out),
               [options](const std::string& word) { return word.starts_with('-') == options; });
  return join(out, " ");
}

// The words before the cursor that are commands make the path; options and their values do not.
// Options are offered where one begins, else commands, or nothing, for which bash offers files.
// Behind an option with a fixed set its values are offered, also behind "=", which bash has as a
// word of its own.
void printBash(const std::string& program, const Tree& tree, const Tree& values,
               std::ostream& out) {
  const std::string function = "_" + identifier(program);
  out << function << "() {\n  local path=\"\" words=\"\" options=\"\" values=\"\" i\n"
      << "  local word=\"${COMP_WORDS[COMP_CWORD]}\" before=\"${COMP_WORDS[COMP_CWORD-1]}\"\n"
      << "  if [ \"$word\" = \"=\" ]; then word=\"\"\n"
      << "  elif [ \"$before\" = \"=\" ]; then before=\"${COMP_WORDS[COMP_CWORD-2]}\"; fi\n"
      << "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
      << "    case \"${path:+$path }${COMP_WORDS[i]}\" in\n      " << quotedPaths(tree, " | ")
      << ")\n        path=\"${path:+$path }${COMP_WORDS[i]}\" ;;\n    esac\n  done\n"
      << "  case \"$path\" in\n";
  for (const auto& [path, words] : tree) {
    out << "    '" << path << "') words='" << selected(words, false) << "' options='"
        << selected(words, true) << "' ;;\n";
  }
  out << "  esac\n  case \"${path:+$path }$before\" in\n";
  for (const auto& [option, words] : values) {
    out << "    '" << option << "') values='" << join(words, " ") << "' ;;\n";
  }
  out << "  esac\n  case \"$before\" in -*) words=\"\" ;; esac\n"
      << "  case \"$word\" in -*) words=\"$options\" ;; esac\n"
      << "  COMPREPLY=($(compgen -W \"${values:-$words}\" -- \"$word\"))\n}\n"
      << "complete -o default -F " << function << ' ' << program << '\n';
}

void printZsh(const std::string& program, const Tree& tree, const Tree& values, std::ostream& out) {
  out << "#compdef " << program << "\nautoload -U +X bashcompinit && bashcompinit\n";
  printBash(program, tree, values, out);
}

void printFish(const std::string& program, const Tree& tree, const Tree& values,
               std::ostream& out) {
  const std::string function = "__" + identifier(program) + "_at";
  out << "function " << function << "\n  set -l path\n"
      << "  for word in (commandline -opc)[2..]\n    set -l next $path $word\n"
      << "    contains -- \"$next\" " << quotedPaths(tree, " ") << "; and set path $next\n  end\n"
      << "  test \"$path\" = \"$argv[1]\"\nend\n";
  for (const auto& [path, words] : tree) {
    out << "complete -c " << program << " -n '" << function << " \"" << path << "\"' -a '"
        << join(words, " ") << "'\n";
  }
  for (const auto& [option, words] : values) {
    const auto name = option.rfind("--");
    const std::string path = name == 0 ? "" : option.substr(0, name - 1);
    out << "complete -c " << program << " -n '" << function << " \"" << path << "\"' -l "
        << option.substr(name + 2) << " -x -a '" << join(words, " ") << "'\n";
  }
}

}  // namespace

void addCompletionCommand(CLI::App& app, std::ostream& out) {
  auto* command = app.add_subcommand("completion", "Print a shell completion script");
  const std::string program = app.get_name();
  command->footer("Examples:\n  " + program + " completion bash > /etc/bash_completion.d/" +
                  program + "\n  source <(" + program + " completion bash)");
  auto shell = std::make_shared<std::string>();
  command->add_option("shell", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  command->final_callback([&app, &out, shell, program] {
    const Tree tree = commandTree(app);
    const Tree values = optionValues(app);
    if (*shell == "bash") printBash(program, tree, values, out);
    if (*shell == "zsh") printZsh(program, tree, values, out);
    if (*shell == "fish") printFish(program, tree, values, out);
  });
}

}  // namespace railhead::usage
