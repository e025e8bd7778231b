// Lines from this process' standard input, read by a thread of its own. When the input ends,
// whoever started this rank is gone: the process ends at once, whatever it hangs in.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

namespace railhead::app {

class OrderReader {
 public:
  static constexpr std::size_t kMaxLine = 64 << 10;  // a longer one ends the process, too

  OrderReader();
  // Waits for a line; an empty one is nothing: there are no more.
  std::optional<std::string> next();

 private:
  void run(const std::stop_token& over);
  void take(std::string_view bytes);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::string> lines_;
  std::string partial_;  // of the thread
  std::jthread thread_;  // last: it ends first
};

}  // namespace railhead::app
