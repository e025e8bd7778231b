// How a profile's parts are written. Private to src/tune.
#pragma once

#include "src/tune/profile.h"

#include <string>
#include <string_view>
#include <vector>

namespace railhead::tune {

// Letters, digits, spaces and "._:/,()+-": needs no escape in double quotes of YAML.
bool isPlainText(std::string_view text);
// Letters, digits and "=^._:/,+-": needs no escape in YAML's double or a shell's single quotes.
bool isPlainValue(std::string_view value);
inline constexpr std::string_view kPlainTextAllowed =
    "1 to 128 letters, digits, spaces and any of ._:/,()+-";
inline constexpr std::string_view kPlainValueAllowed =
    "1 to 128 letters, digits and any of =^._:/,+-";
inline constexpr std::size_t kMaxFingerprintTexts = 64;

// The shortest text that reads back as the same number.
std::string numberText(double value);

// The whole file but its hash line.
std::string profileBody(const Profile& profile);

// kInvalidArgument: what could not be written and read back.
Result<void> checkProfile(const Profile& profile);

}  // namespace railhead::tune
