#include "plugins/nccl-tuner/remark.h"

#include <cstdarg>
#include <cstdio>

namespace railhead::nccl_tuner {

void Remark::say(const char* format, ...) {
  va_list values;
  va_start(values, format);
  std::vsnprintf(text, sizeof text, format, values);
  va_end(values);
}

bool cutBefore(char end, std::string_view& text, std::string_view& part) {
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] != end) continue;
    part = {text.data(), at};
    text.remove_prefix(at + 1);
    return true;
  }
  return false;
}

bool readNumber(std::string_view text, std::uint64_t most, std::uint64_t& number) {
  if (text.empty() || (text.size() > 1 && text[0] == '0')) return false;
  std::uint64_t value = 0;
  for (const char digit : text) {
    if (digit < '0' || digit > '9') return false;
    const auto add = static_cast<std::uint64_t>(digit - '0');
    if (value > (UINT64_MAX - add) / 10) return false;
    value = value * 10 + add;
  }
  if (value > most) return false;
  number = value;
  return true;
}

}  // namespace railhead::nccl_tuner
