// Watches the GPUs: waits for NVML's events in a thread, asks a GPU for its condition when
// something is known against it, and tells who is unhealthy and why (rules: src/gpu/health.h).
// Works without a driver, too: one that is loaded later is found.
//
// A GPU can only be reset while nobody has it open; nvidia-smi(1) counts monitoring programs in. So
// while no GPU of the node is healthy the session is closed between two looks at them. While others
// are healthy their events matter more, and a reset needs the watcher stopped.
//
// What it does not do: a mark is not kept over a restart of the program. A GPU whose driver reports
// recovery actions (570 and newer), or which is lost, is found unhealthy again at once.
#pragma once

#include "src/gpu/gpu.h"
#include "src/gpu/health.h"
#include "src/os/clock.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

namespace railhead::gpu {

struct GpuWatchOptions {
  HealthPolicy policy;
  std::chrono::milliseconds waitSlice{2000};      // one wait for events; stop() takes up to this
  std::chrono::milliseconds probeInterval{1000};  // looks at the GPUs while one is unhealthy
  std::chrono::milliseconds backstop{60'000};     // looks at them while all are healthy
  // Listing the GPUs again while one is lost or answers wrongly, or there is no driver. Doubled
  // each time that nothing has changed, up to the limit.
  std::chrono::milliseconds reopenInterval{5000};
  std::chrono::milliseconds reopenLimit{60'000};
  bool releaseWhileNoneIsHealthy = true;
};

// Called from the watcher's thread with no lock held; must not call stop(). Each may be empty.
struct GpuWatchCallbacks {
  std::function<void(const HealthChange&)> onHealth;
  // GPUs or MIG devices came or went (also: were first seen): take the inventory again.
  std::function<void()> onDevicesChanged;
  std::function<void(const GpuEvent&)> onEvent;            // each one, an application's Xid too
  std::function<void(const std::string& line)> onProblem;  // what a person should know, once each
};

class GpuWatcher {
 public:
  // `library` and `clock` outlive the watcher. The clock measures quiet times only.
  GpuWatcher(GpuLibrary& library, os::Clock& clock, GpuWatchOptions options,
             GpuWatchCallbacks callbacks);
  ~GpuWatcher();  // stops
  GpuWatcher(const GpuWatcher&) = delete;
  GpuWatcher& operator=(const GpuWatcher&) = delete;

  void start();  // once; returns at once
  void stop();   // within waitSlice, when NVML keeps its word; idempotent

  // Thread-safe. By UUID, GPUs and MIG devices: why each unhealthy one is so.
  std::map<std::string, std::string> unhealthy() const;
  // Thread-safe. GPUs whose events reach us now.
  std::size_t watched() const;

 private:
  struct Work;
  std::unique_ptr<Work> work_;
};

}  // namespace railhead::gpu
