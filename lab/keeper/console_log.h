// The last part of what a node wrote on its console. Bounded; not thread-safe.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::lab {

class ConsoleLog {
 public:
  explicit ConsoleLog(std::size_t capacity = 256 * 1024) : capacity_(capacity) {}

  void append(std::string_view bytes);
  // At most `bytes` from the end, starting at the beginning of a line where there is one.
  std::string tail(std::size_t bytes) const;
  // The last `count` lines that are not empty, without carriage returns and escape sequences.
  std::string lastLines(std::size_t count) const;
  // The same of the lines that tell why a node died: kernel panics, out-of-memory kills,
  // oopses, complaints of our own init. Without one, just the last lines.
  std::string tellingLines(std::size_t count) const;

 private:
  std::vector<std::string> plainLines() const;

  std::size_t capacity_;
  std::string text_;
};

}  // namespace railhead::lab
