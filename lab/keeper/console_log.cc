#include "lab/keeper/console_log.h"

#include "src/base/text.h"

#include <algorithm>
#include <array>
#include <iterator>

namespace railhead::lab {
namespace {

// Terminal control sequences (ESC [ ... letter) and other control characters mean nothing here.
std::string plainLine(std::string_view line) {
  std::string out;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '\x1b') {
      if (i + 1 < line.size() && line[i + 1] == '[') ++i;
      while (i + 1 < line.size() && (line[i + 1] < '@' || line[i + 1] > '~')) ++i;
      ++i;
      continue;
    }
    if (static_cast<unsigned char>(line[i]) >= 0x20 || line[i] == '\t') out.push_back(line[i]);
  }
  return out;
}

// What the kernel writes when it gives up or kills for memory, and what our PID 1 writes when it
// cannot go on (lab/guest/main.cc). Registers, call traces and module lists around them do not
// count.
bool isTelling(const std::string& line) {
  constexpr std::array<std::string_view, 6> kMarks{"Kernel panic - not syncing",
                                                   "Out of memory",
                                                   "oom-kill:",
                                                   "Oops",
                                                   "BUG: ",
                                                   "railhead-lab-guest: the node cannot start"};
  if (line.find("end Kernel panic") != std::string::npos) return false;  // says the panic again
  return std::any_of(kMarks.begin(), kMarks.end(),
                     [&](std::string_view mark) { return line.find(mark) != std::string::npos; });
}

std::string lastOf(std::vector<std::string> lines, std::size_t count) {
  if (lines.size() > count)
    lines.erase(lines.begin(), lines.end() - static_cast<std::ptrdiff_t>(count));
  return join(lines, "\n");
}

}  // namespace

void ConsoleLog::append(std::string_view bytes) {
  text_.append(bytes);
  // Trimmed in steps, so that a chatty node does not move the whole text for every line.
  if (text_.size() > 2 * capacity_) text_.erase(0, text_.size() - capacity_);
}

std::string ConsoleLog::tail(std::size_t bytes) const {
  const std::size_t keep = std::min({bytes, capacity_, text_.size()});
  std::size_t start = text_.size() - keep;
  if (start > 0 && text_[start - 1] != '\n') {
    const auto lineEnd = text_.find('\n', start);
    if (lineEnd != std::string::npos && lineEnd + 1 < text_.size()) start = lineEnd + 1;
  }
  return text_.substr(start);
}

std::vector<std::string> ConsoleLog::plainLines() const {
  const std::string recent = tail(capacity_);
  std::vector<std::string> lines;
  for (const std::string_view line : split(recent, '\n')) {
    std::string plain = plainLine(line);
    if (!trim(plain).empty()) lines.push_back(std::move(plain));
  }
  return lines;
}

std::string ConsoleLog::lastLines(std::size_t count) const { return lastOf(plainLines(), count); }

std::string ConsoleLog::tellingLines(std::size_t count) const {
  auto lines = plainLines();
  std::vector<std::string> telling;
  std::copy_if(lines.begin(), lines.end(), std::back_inserter(telling), isTelling);
  return lastOf(telling.empty() ? std::move(lines) : std::move(telling), count);
}

}  // namespace railhead::lab
