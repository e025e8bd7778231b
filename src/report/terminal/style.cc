#include "src/report/terminal/style.h"

#include "src/base/text.h"

#include <cstdlib>

#include <sys/ioctl.h>
#include <unistd.h>

namespace railhead::report {
namespace {

constexpr std::size_t kFewestColumns = 20;

bool isUnicodeLocale(const EnvironmentLookup& environment) {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const std::string value = toLower(environment(name).value_or(""));
    if (value.empty()) continue;
    // "C" and "POSIX" name no charset; what reads them today is a UTF-8 terminal or a log file.
    if (value.find('.') == std::string::npos) return true;
    return value.find("utf-8") != std::string::npos || value.find("utf8") != std::string::npos;
  }
  return true;
}

}  // namespace

std::string TerminalStyle::paint(Ink ink, std::string_view text) const {
  const std::string plain(text);
  if (!colour || ink == Ink::kPlain || text.empty()) return plain;
  const char* code = ink == Ink::kGood    ? "32"
                     : ink == Ink::kBad   ? "31"
                     : ink == Ink::kQuiet ? "2"
                                          : "1";
  return "\x1b[" + std::string(code) + "m" + plain + "\x1b[0m";
}

TerminalStyle detectStyle(int fd, const EnvironmentLookup& environment) {
  TerminalStyle style;
  style.terminal = isatty(fd) == 1 && environment("TERM").value_or("") != "dumb";
  style.colour = style.terminal && environment("NO_COLOR").value_or("").empty();
  style.unicode = isUnicodeLocale(environment);
  winsize size{};
  if (style.terminal && ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col >= kFewestColumns) {
    style.columns = size.ws_col;
  }
  return style;
}

std::optional<std::string> processEnvironment(std::string_view name) {
  const char* value = std::getenv(std::string(name).c_str());
  if (value == nullptr) return std::nullopt;
  return value;
}

}  // namespace railhead::report
