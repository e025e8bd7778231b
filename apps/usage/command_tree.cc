#include "apps/usage/command_tree.h"

#include <CLI/CLI.hpp>

namespace railhead::usage {
namespace {

std::vector<const CLI::App*> childrenOf(const CLI::App& command) {
  return command.get_subcommands([](const CLI::App*) { return true; });
}

bool isCommand(const CLI::App& child) {
  return !child.get_name().empty() && !child.get_group().empty();  // no group: hidden
}

void collect(const CLI::App& command, const std::string& path,
             std::map<std::string, std::vector<std::string>>& tree) {
  auto& words = tree[path];
  words = commandNames(command);
  for (auto& option : optionNames(command)) words.push_back(std::move(option));
  for (const CLI::App* child : childrenOf(command)) {
    if (!isCommand(*child)) continue;
    collect(*child, path.empty() ? child->get_name() : path + " " + child->get_name(), tree);
  }
}

}  // namespace

std::vector<std::string> commandNames(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::App* child : childrenOf(command)) {
    if (isCommand(*child)) names.push_back(child->get_name());
  }
  return names;
}

std::vector<std::string> optionNames(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options()) {
    for (const auto& name : option->get_lnames()) names.push_back("--" + name);
  }
  for (const CLI::App* child : childrenOf(command)) {
    if (!child->get_name().empty()) continue;
    for (auto& name : optionNames(*child)) {
      if (name != "--help") names.push_back(std::move(name));
    }
  }
  return names;
}

std::map<std::string, std::vector<std::string>> commandTree(const CLI::App& program) {
  std::map<std::string, std::vector<std::string>> tree;
  collect(program, "", tree);
  return tree;
}

}  // namespace railhead::usage
