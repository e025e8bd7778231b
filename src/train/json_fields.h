// Structures as JSON objects and back. A structure's visitFields(visit, x) calls visit("name",
// member) for each member, so that writer and reader cannot disagree. What is read comes from
// outside: every text, list and number is bounded, and the first field that does not fit is named
// with its path. Private to src/train (it passes nlohmann's JSON on).
#pragma once

#include "src/base/result.h"
#include "src/json/json.h"

#include <concepts>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace railhead::train {

using Json = json::Value;

// What visitFields() takes: the same members of a T to write and of one to read into.
template <typename T, typename Wanted>
concept MaybeConst = std::same_as<std::remove_const_t<T>, Wanted>;

inline constexpr std::size_t kMaxJsonText = 64 << 10;
inline constexpr std::size_t kMaxJsonEntries = 1 << 20;

// What the two visitors do with values, all by reference: this header knows the type by name only.
void makeObject(Json& at);
void makeList(Json& at);
Json& addMember(Json& object, const char* name);
Json& addElement(Json& list);
void set(Json& at, const std::string& value);
void set(Json& at, bool value);
void set(Json& at, std::uint64_t value);
void set(Json& at, int value);
void set(Json& at, double value);  // null for what is no finite number

bool isObject(const Json& value);
bool isList(const Json& value);  // of at most kMaxJsonEntries
std::vector<const Json*> elementsOf(const Json& list);
std::vector<std::pair<std::string, const Json*>> membersOf(const Json& object);
bool take(const Json& value, std::string& into);
bool take(const Json& value, bool& into);
bool take(const Json& value, std::uint64_t& into);
bool take(const Json& value, int& into);
bool take(const Json& value, double& into);

class FieldWriter {
 public:
  explicit FieldWriter(Json& out) : out_(out) { makeObject(out_); }
  template <typename T>
  void operator()(const char* name, const T& field) {
    write(addMember(out_, name), field);
  }

 private:
  template <typename T>
  static void write(Json& at, const T& value) {
    if constexpr (requires { set(at, value); }) {
      set(at, value);
    } else {
      FieldWriter inner(at);
      visitFields(inner, value);
    }
  }
  template <typename T>
  static void write(Json& at, const std::optional<T>& value) {
    if (value) write(at, *value);
  }
  template <typename T>
  static void write(Json& at, const std::vector<T>& values) {
    makeList(at);
    for (const T& value : values) write(addElement(at), value);
  }
  static void write(Json& at, const std::map<std::string, std::string>& values) {
    makeObject(at);
    for (const auto& [name, value] : values) set(addMember(at, name.c_str()), value);
  }

  Json& out_;
};

class FieldReader {
 public:
  // `object` stays; `where` is what complaints begin with.
  FieldReader(const Json& object, std::string where) : object_(object), where_(std::move(where)) {}

  template <typename T>
  void operator()(const char* name, T& field) {
    const Json* value = json::member(object_, name);
    if (value == nullptr) {
      refuse(name, "missing");
    } else {
      read(*value, name, field);
    }
  }
  template <typename T>
  void operator()(const char* name, std::optional<T>& field) {
    field.reset();
    if (const Json* value = json::member(object_, name); value != nullptr) {
      read(*value, name, field.emplace());
    }
  }
  // kCorrupt: "manifest.json: attempts[2].number is not what it must be".
  Result<void> result() const {
    if (error_) return *error_;
    return {};
  }

 private:
  template <typename T>
  void read(const Json& value, const std::string& name, T& field) {
    if constexpr (requires { train::take(value, field); }) {
      if (!train::take(value, field)) refuse(name, "not what it must be");
    } else {
      if (!isObject(value)) return refuse(name, "no object");
      FieldReader inner(value, where_);
      inner.path_ = path_ + name + ".";
      visitFields(inner, field);
      if (!error_) error_ = inner.error_;
    }
  }
  template <typename T>
  void read(const Json& value, const std::string& name, std::vector<T>& field) {
    field.clear();
    if (!isList(value)) return refuse(name, "no list");
    for (const Json* element : elementsOf(value)) {
      const std::string at = name + "[" + std::to_string(field.size()) + "]";
      read(*element, at, field.emplace_back());
    }
  }
  void read(const Json& value, const std::string& name, std::map<std::string, std::string>& field) {
    field.clear();
    if (!isObject(value)) return refuse(name, "no object");
    for (const auto& [key, member] : membersOf(value)) {
      read(*member, name + "." + key.substr(0, 64), field[key]);
    }
  }
  void refuse(const std::string& name, const std::string& problem) {
    if (error_) return;
    error_ = Error(ErrorCode::kCorrupt, where_ + ": " + path_ + name + " is " + problem);
  }

  const Json& object_;
  std::string where_;
  std::string path_;
  std::optional<Error> error_;
};

// One JSON object of at most 64 MiB, bounded in depth; kCorrupt names `where`.
Result<Json> parseObject(std::string_view text, const std::string& where);

}  // namespace railhead::train
