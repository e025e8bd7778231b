#include "apps/railhead/order_reader.h"

#include "src/base/error.h"

#include <array>
#include <cerrno>
#include <cstdlib>
#include <string_view>

#include <poll.h>
#include <unistd.h>

namespace railhead::app {
namespace {

constexpr int kLookMilliseconds = 100;  // for the end of this object

[[noreturn]] void endNow() { std::_Exit(static_cast<int>(ExitCode::kFailed)); }

}  // namespace

OrderReader::OrderReader() : thread_([this](const std::stop_token& over) { run(over); }) {}

std::optional<std::string> OrderReader::next() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !lines_.empty(); });
  std::string line = std::move(lines_.front());
  lines_.pop_front();
  if (line.empty()) return std::nullopt;
  return line;
}

void OrderReader::run(const std::stop_token& over) {
  std::array<char, 4096> chunk{};
  while (!over.stop_requested()) {
    pollfd waiting{STDIN_FILENO, POLLIN, 0};
    if (::poll(&waiting, 1, kLookMilliseconds) <= 0) continue;
    const ssize_t got = ::read(STDIN_FILENO, chunk.data(), chunk.size());
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got <= 0) endNow();
    take({chunk.data(), static_cast<std::size_t>(got)});
  }
}

void OrderReader::take(std::string_view bytes) {
  for (const char c : bytes) {
    if (c != '\n') {
      if (partial_.size() == kMaxLine) endNow();
      partial_ += c;
      continue;
    }
    const std::lock_guard lock(mutex_);
    lines_.push_back(std::move(partial_));
    partial_.clear();
    changed_.notify_all();
  }
}

}  // namespace railhead::app
