// What can be typed behind a command, read from the parser itself. Pure.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace railhead::usage {

// The commands right below this one, without hidden ones, in the order they were added.
std::vector<std::string> commandNames(const CLI::App& command);
// "--json", ...: long options, those of its option groups included, without hidden ones.
std::vector<std::string> optionNames(const CLI::App& command);
// "lab up" -> the words that may follow it: commands, options, and the values of an operand that
// has a fixed set. "" is the program itself.
std::map<std::string, std::vector<std::string>> commandTree(const CLI::App& program);
// "verify --backend" -> the values that the option takes, for those with a fixed set of words.
std::map<std::string, std::vector<std::string>> optionValues(const CLI::App& program);

}  // namespace railhead::usage
