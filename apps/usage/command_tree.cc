#include "apps/usage/command_tree.h"

#include "src/base/text.h"

#include <CLI/CLI.hpp>

namespace railhead::usage {
namespace {

std::vector<const CLI::App*> childrenOf(const CLI::App& command) {
  return command.get_subcommands([](const CLI::App*) { return true; });
}

bool isCommand(const CLI::App& child) {
  return !child.get_name().empty() && !child.get_group().empty();  // no group: hidden
}

using Words = std::vector<std::string>;

// "TEXT:{auto,nccl,host}" is how CLI11 shows an option that takes one of these words only.
Words fixedSet(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  const auto begin = type.find('{');
  const auto end = type.find('}');
  Words out;
  if (begin == std::string::npos || end == std::string::npos || end < begin) return out;
  for (const auto word : split(std::string_view(type).substr(begin + 1, end - begin - 1), ','))
    out.emplace_back(word);
  return out;
}

// The command's options that are not hidden, those of its groups included.
std::vector<const CLI::Option*> shownOptions(const CLI::App& command) {
  std::vector<const CLI::Option*> out;
  for (const CLI::Option* option : command.get_options()) {
    if (!option->get_group().empty()) out.push_back(option);  // no group: hidden
  }
  for (const CLI::App* child : childrenOf(command)) {
    if (!child->get_name().empty()) continue;
    for (const CLI::Option* option : shownOptions(*child)) {
      if (!option->check_lname("help")) out.push_back(option);
    }
  }
  return out;
}

template <typename Visit>
void visitCommands(const CLI::App& command, const std::string& path, const Visit& visit) {
  visit(command, path);
  for (const CLI::App* child : childrenOf(command)) {
    if (!isCommand(*child)) continue;
    visitCommands(*child, path.empty() ? child->get_name() : path + " " + child->get_name(), visit);
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
  for (const CLI::Option* option : shownOptions(command)) {
    for (const auto& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

std::map<std::string, std::vector<std::string>> commandTree(const CLI::App& program) {
  std::map<std::string, std::vector<std::string>> tree;
  visitCommands(program, "", [&](const CLI::App& command, const std::string& path) {
    auto& words = tree[path];
    words = commandNames(command);
    for (auto& option : optionNames(command)) words.push_back(std::move(option));
    for (const CLI::Option* option : shownOptions(command)) {
      if (!option->get_positional()) continue;
      for (auto& word : fixedSet(*option)) words.push_back(std::move(word));
    }
  });
  return tree;
}

std::map<std::string, std::vector<std::string>> optionValues(const CLI::App& program) {
  std::map<std::string, std::vector<std::string>> out;
  visitCommands(program, "", [&](const CLI::App& command, const std::string& path) {
    for (const CLI::Option* option : shownOptions(command)) {
      const Words values = fixedSet(*option);
      if (values.empty()) continue;
      for (const auto& name : option->get_lnames())
        out[(path.empty() ? "" : path + " ") + "--" + name] = values;
    }
  });
  return out;
}

}  // namespace railhead::usage
