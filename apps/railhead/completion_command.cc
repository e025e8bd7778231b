#include "apps/railhead/completion_command.h"

#include <map>
#include <memory>
#include <ostream>

#include <CLI/CLI.hpp>

namespace railhead::app {
namespace {

// "lab up" -> the words that may follow it: subcommands and long options.
using WordsAfter = std::map<std::string, std::string>;

void collect(const CLI::App& app, const std::string& path, WordsAfter& words) {
  std::string& here = words[path];
  for (const CLI::App* child : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (child->get_group().empty()) continue;  // hidden
    if (child->get_name().empty()) {           // a group of options: they belong to this command
      collect(*child, path, words);
      continue;
    }
    here += child->get_name() + " ";
    collect(*child, path.empty() ? child->get_name() : path + " " + child->get_name(), words);
  }
  for (const CLI::Option* option : app.get_options()) {
    for (const auto& name : option->get_lnames()) here += "--" + name + " ";
  }
}

void printBash(const WordsAfter& words, std::ostream& out) {
  out << "_railhead() {\n  local path=\"\" word i\n"
         "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
         "    word=\"${COMP_WORDS[i]}\"\n"
         "    [[ $word == -* ]] || path=\"${path:+$path }$word\"\n  done\n"
         "  local words=\"\"\n  case \"$path\" in\n";
  for (const auto& [path, list] : words)
    out << "    \"" << path << "\") words=\"" << list << "\" ;;\n";
  out << "  esac\n  COMPREPLY=($(compgen -W \"$words\" -- \"${COMP_WORDS[COMP_CWORD]}\"))\n}\n"
         "complete -o default -F _railhead railhead\n";
}

void printZsh(const WordsAfter& words, std::ostream& out) {
  out << "#compdef railhead\nautoload -U +X bashcompinit && bashcompinit\n";
  printBash(words, out);
}

void printFish(const WordsAfter& words, std::ostream& out) {
  out << "function __railhead_path\n"
         "  string join ' ' (string match -v -- '-*' (commandline -opc)[2..])\nend\n"
         "complete -c railhead -f\n";
  for (const auto& [path, list] : words) {
    out << "complete -c railhead -n 'test (__railhead_path) = \"" << path << "\"' -a '" << list
        << "'\n";
  }
}

}  // namespace

void addCompletionCommand(CLI::App& app, Context& context) {
  auto* command = app.add_subcommand("completion", "Print a shell completion script");
  command->footer("Example:\n  railhead completion bash > /etc/bash_completion.d/railhead");
  auto shell = std::make_shared<std::string>();
  command->add_option("shell", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  command->final_callback([&app, &context, shell] {
    WordsAfter words;
    collect(app, "", words);
    if (*shell == "bash") printBash(words, context.out);
    if (*shell == "zsh") printZsh(words, context.out);
    if (*shell == "fish") printFish(words, context.out);
  });
}

}  // namespace railhead::app
