// One value for each knob, or the knob's default. Value type; thread-compatible.
#pragma once

#include "src/base/result.h"

#include <compare>
#include <map>
#include <string>
#include <string_view>

namespace railhead::tune {

inline constexpr std::string_view kDefault = "default";

class Setting {
 public:
  // "default" for a knob that was not set.
  std::string_view value(std::string_view knob) const;
  bool isDefault() const { return values_.empty(); }
  // What differs from the default, by name.
  const std::map<std::string, std::string, std::less<>>& values() const { return values_; }

  void set(std::string_view knob, std::string_view value);  // "default" takes it back
  Setting with(std::string_view knob, std::string_view value) const;
  // This setting, and `other` where it differs from the default.
  Setting merged(const Setting& other) const;
  // Whether everything that `part` sets is set so here. True for a part that sets nothing.
  bool contains(const Setting& part) const;

  // "A=1 B=2", sorted by name, or "default". parse() takes exactly what text() gives, at most
  // kMaxText bytes; kCorrupt otherwise.
  std::string text() const;
  static Result<Setting> parse(std::string_view text);
  static constexpr std::size_t kMaxText = 4096;

  std::strong_ordering operator<=>(const Setting&) const = default;

 private:
  std::map<std::string, std::string, std::less<>> values_;
};

// A name or value of a setting: 1 to 128 visible ASCII characters.
bool isSettingWord(std::string_view word);

}  // namespace railhead::tune
