// Runs Attacher::sweep() when woken and once a minute, and sweepAttachments() at an interval, so
// that VFs of pods that died without DEL come back soon and a node without pods costs nothing; and
// sweepPlugins() beside them, so that no VF waits for a plugin.
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
  // Called when something was done or the failures are others than the last time; one call at a
  // time.
  using Listener = std::function<void(const SweepReport&)>;

  // `attacher` must outlive the sweeper. Starts the threads.
  Sweeper(Attacher& attacher, std::chrono::milliseconds interval, Listener listener);
  ~Sweeper();  // stops and joins: a plugin at work is waited for

  void wake();  // sweeps now: a link came back, a namespace died

 private:
  // `full`: woken, or a minute is over.
  using Sweep = std::function<SweepReport(bool full)>;
  void run(const Sweep& sweep);
  void tell(const SweepReport& report, std::vector<std::string>& failing);

  static constexpr std::chrono::minutes kFullSweep{1};
  const std::chrono::milliseconds interval_;
  const Listener listener_;
  std::mutex listening_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::uint64_t wakes_ = 0;
  std::thread rails_;
  std::thread plugins_;
};

}  // namespace railhead::attach
