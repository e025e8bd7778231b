#include "tests/support/documented_fields.h"

#include <fstream>
#include <regex>
#include <sstream>
#include <vector>

namespace railhead::testing_support {
namespace {

void addWithFolders(std::set<std::string>& out, const std::string& path) {
  out.insert(path);
  for (auto dot = path.rfind('.'); dot != std::string::npos; dot = path.rfind('.', dot - 1)) {
    std::string folder = path.substr(0, dot);
    if (folder.ends_with("[]")) folder.resize(folder.size() - 2);
    out.insert(folder);
    if (dot == 0) break;
  }
}

// "a.{b,c}" -> "a.b", "a.c"; a list marker at the end goes.
std::vector<std::string> expanded(const std::string& text) {
  static const std::regex kBraces(R"(^(.*)\{([^}]*)\}$)");
  std::smatch match;
  std::vector<std::string> out;
  if (std::regex_match(text, match, kBraces)) {
    std::stringstream names(match[2].str());
    for (std::string name; std::getline(names, name, ',');) out.push_back(match[1].str() + name);
  } else {
    out.push_back(text);
  }
  for (auto& path : out) {
    if (path.ends_with("[]")) path.resize(path.size() - 2);
  }
  return out;
}

void collect(const nlohmann::json& value, const std::string& path, std::set<std::string>& out) {
  if (value.is_object()) {
    for (const auto& [name, field] : value.items()) {
      const std::string at = path.empty() ? name : path + "." + name;
      out.insert(at);
      collect(field, at, out);
    }
  } else if (value.is_array()) {
    for (const auto& element : value) collect(element, path + "[]", out);
  }
}

}  // namespace

std::set<std::string> documentedFields(const std::string& markdown, const std::string& heading) {
  static const std::regex kCode("`([^`]+)`");
  std::set<std::string> out;
  bool inside = false;
  std::stringstream lines(markdown);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with('#')) inside = line.substr(line.find_first_not_of("# ")) == heading;
    if (!inside || !line.starts_with("| `")) continue;
    const std::string cell = line.substr(1, line.find(" |", 1) - 1);
    for (std::sregex_iterator code(cell.begin(), cell.end(), kCode), end; code != end; ++code) {
      for (const auto& path : expanded((*code)[1].str())) addWithFolders(out, path);
    }
  }
  return out;
}

std::set<std::string> fieldsOf(const nlohmann::json& document) {
  std::set<std::string> out;
  collect(document, "", out);
  return out;
}

std::string readText(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace railhead::testing_support
