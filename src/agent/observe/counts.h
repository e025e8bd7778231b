// What the agent counts as it works, for the metrics and the probes. Thread-safe.
#pragma once

#include "src/attach/attacher.h"
#include "src/attach/server.h"
#include "src/metrics/exposition.h"
#include "src/metrics/histogram.h"
#include "src/provision/provision.h"

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace railhead::agent {

class Counts {
 public:
  // The keeper turns every minute, and may wait for drivers in between.
  static constexpr std::chrono::seconds kStalledAfter{180};

  Counts();

  // Answers as `inner` does, and takes the time of every request. Outlived by this object.
  attach::CniHandler timed(attach::CniHandler inner);
  void swept(const attach::SweepReport& report);
  void provisioned(const Result<provision::ApplyReport>& report);
  // The keeper's loop came round; nothing: no keeper runs now.
  void turned(std::optional<std::chrono::steady_clock::time_point> now);

  // Why the agent should be restarted; empty when it lives.
  std::string stalled(std::chrono::steady_clock::time_point now) const;

  void write(metrics::Exposition& out) const;

 private:
  static constexpr std::array<std::string_view, 6> kOperations{"ADD", "DEL",    "CHECK",
                                                               "GC",  "STATUS", "other"};
  struct Requests {
    metrics::Histogram done;
    metrics::Histogram failed;
  };

  std::array<std::unique_ptr<Requests>, kOperations.size()> requests_;
  std::atomic<std::uint64_t> repairs_ = 0;
  std::atomic<std::uint64_t> repairFailures_ = 0;
  std::atomic<std::uint64_t> provisionRuns_ = 0;
  std::atomic<std::uint64_t> provisionChanges_ = 0;
  std::atomic<std::uint64_t> provisionFailures_ = 0;
  std::atomic<std::uint64_t> provisionFailing_ = 0;  // PFs of the last run; 1 for the goal itself
  std::atomic<std::int64_t> lastTurn_ = 0;           // of the steady clock; 0: no keeper runs
};

}  // namespace railhead::agent
