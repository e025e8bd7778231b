// How to write to one output stream. Value type.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace railhead::report {

enum class Ink { kPlain, kGood, kBad, kQuiet, kStrong };

struct TerminalStyle {
  bool terminal = false;  // lines may be redrawn
  bool colour = false;
  bool unicode = true;  // otherwise marks and bars are ASCII
  std::size_t columns = 80;

  // The text in that ink, or as it is without colour.
  std::string paint(Ink ink, std::string_view text) const;
};

// Value of an environment variable, absent when it is not set.
using EnvironmentLookup = std::function<std::optional<std::string>(std::string_view name)>;

// What suits a file descriptor: a terminal unless TERM=dumb, colour on a terminal unless NO_COLOR
// is set to something, Unicode unless the locale (LC_ALL, LC_CTYPE, LANG) names another charset.
TerminalStyle detectStyle(int fd, const EnvironmentLookup& environment);

// The environment of this process. Not safe against a concurrent setenv.
std::optional<std::string> processEnvironment(std::string_view name);

}  // namespace railhead::report
