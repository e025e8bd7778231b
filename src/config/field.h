// A YAML file as fields that know where they stand: every complaint names file, line, field, value
// and what is allowed. Bounded in size, depth and number of values; YAML anchors are expanded
// within those bounds. The whole document stays alive while any of its fields does. Thread-safe
// once read.
#pragma once

#include "src/base/result.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::config {

inline constexpr std::size_t kMaxBytes = 256 * 1024;
inline constexpr std::size_t kMaxValues = 20000;
inline constexpr int kMaxDepth = 16;

struct Value;  // one node of the document (field.cc)

class Field {
 public:
  // Reads one YAML document (and so JSON). `source` is the file's name in complaints. Syntax errors
  // name the line.
  static Result<Field> parse(std::string_view text, const std::string& source);

  bool present() const { return value_ != nullptr; }  // there, and not null
  const std::string& path() const { return path_; }   // "resources[0].name"
  int line() const;                                   // from 1

  // "agent.yaml:7: resources[0].name <problem>".
  Error complain(std::string_view problem) const;
  // "... is 'x'; allowed: <allowed>".
  Error complainAllowed(std::string_view allowed) const;

  // A map with these keys only, each once.
  Result<void> checkKeys(const std::vector<std::string>& allowed) const;
  bool isMap() const;
  bool isList() const;
  bool isScalar() const;

  // The member; not present() when absent. Complaints about it then carry this field's line.
  Field child(std::string_view key) const;
  // The field at a path like "networks[0].subnets[1]" below this one, or the last on the way there
  // that is present.
  Field nearest(std::string_view path) const;
  Result<Field> required(std::string_view key, std::string_view allowed) const;
  std::vector<std::string> keys() const;

  Result<std::vector<Field>> list(std::size_t least, std::size_t most) const;
  Result<std::string> text(std::string_view allowed, std::size_t maxLength = 256) const;
  // A word of letters, digits and any of `extra`, starting with a letter or digit.
  Result<std::string> word(std::size_t most, std::string_view extra) const;
  Result<std::uint64_t> number(std::uint64_t least, std::uint64_t most,
                               std::string_view unit = {}) const;
  Result<bool> flag() const;  // true or false
  Result<std::vector<std::string>> texts(std::string_view allowed,
                                         std::size_t most) const;  // a list of scalars

 private:
  Field(std::shared_ptr<const Value> document, const Value* value, std::string path, int line);
  Field item(std::size_t index) const;  // of a list that has it
  std::string shown() const;

  std::shared_ptr<const Value> document_;
  const Value* value_ = nullptr;
  std::string path_;
  int line_ = 0;
};

}  // namespace railhead::config
