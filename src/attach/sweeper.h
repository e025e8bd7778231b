// Runs Attacher::sweep() when woken and once a minute, and sweepAttachments() at an interval, so
// that VFs of pods that died without DEL come back soon and a node without pods costs nothing.
#pragma once

#include "src/attach/attacher.h"

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace railhead::attach {

class Sweeper final {
 public:
  // Called when something was done or the failures are others than the last time.
  using Listener = std::function<void(const SweepReport&)>;

  // `attacher` must outlive the sweeper. Starts the thread.
  Sweeper(Attacher& attacher, std::chrono::milliseconds interval, Listener listener);
  ~Sweeper();  // stops and joins

  void wake();  // sweeps now: a link came back, a namespace died

 private:
  void run();
  bool isNews(const SweepReport& report);

  Attacher& attacher_;
  static constexpr std::chrono::minutes kFullSweep{1};
  const std::chrono::milliseconds interval_;
  const Listener listener_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  bool woken_ = false;
  std::vector<std::string> failing_;  // of the last sweep; the thread's own
  std::thread thread_;
};

}  // namespace railhead::attach
