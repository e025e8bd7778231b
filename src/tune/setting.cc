#include "src/tune/setting.h"

#include "src/base/text.h"

#include <algorithm>

namespace railhead::tune {

bool isSettingWord(std::string_view word) {
  constexpr std::size_t kMaxWord = 128;
  return !word.empty() && word.size() <= kMaxWord &&
         std::all_of(word.begin(), word.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

std::string_view Setting::value(std::string_view knob) const {
  const auto found = values_.find(knob);
  return found == values_.end() ? kDefault : std::string_view(found->second);
}

void Setting::set(std::string_view knob, std::string_view value) {
  if (value == kDefault) {
    if (const auto found = values_.find(knob); found != values_.end()) values_.erase(found);
  } else {
    values_.insert_or_assign(std::string(knob), std::string(value));
  }
}

Setting Setting::with(std::string_view knob, std::string_view value) const {
  Setting changed = *this;
  changed.set(knob, value);
  return changed;
}

Setting Setting::merged(const Setting& other) const {
  Setting both = *this;
  for (const auto& [knob, value] : other.values_) both.values_.insert_or_assign(knob, value);
  return both;
}

bool Setting::contains(const Setting& part) const {
  return std::all_of(part.values_.begin(), part.values_.end(),
                     [&](const auto& entry) { return value(entry.first) == entry.second; });
}

std::string Setting::text() const {
  if (values_.empty()) return std::string(kDefault);
  std::string out;
  for (const auto& [knob, value] : values_) {
    if (!out.empty()) out += ' ';
    out += knob;
    out += '=';
    out += value;
  }
  return out;
}

Result<Setting> Setting::parse(std::string_view text) {
  const auto bad = [&] {
    return Error(
        ErrorCode::kCorrupt,
        "setting " + inQuotes(text) + " is not of the form A=1 B=2, sorted by name, or default");
  };
  if (text == kDefault) return Setting();
  if (text.size() > kMaxText) return bad();
  Setting setting;
  for (const std::string_view entry : split(text, ' ')) {
    const auto equals = entry.find('=');
    if (equals == std::string_view::npos) return bad();
    const auto knob = entry.substr(0, equals);
    const auto value = entry.substr(equals + 1);
    if (!isSettingWord(knob) || !isSettingWord(value)) return bad();
    setting.set(knob, value);
  }
  if (setting.text() != text) return bad();
  return setting;
}

}  // namespace railhead::tune
