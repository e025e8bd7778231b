// When a GPU is unhealthy and when it is healthy again: the rules alone, without NVML, threads or
// time of their own. A GPU or MIG device becomes unhealthy
//   - by an event: an Xid that is no application's error, a double-bit ECC error, a fatal poison
//     error, "GPU unavailable";
//   - by its condition: lost, in need of a reset or another recovery action, a failed row
//   remapping;
//   - by absence: the driver no longer has it.
// It is healthy again when its condition is clean, nothing waits for a reset, and no event came for
// a while: `quiet` where the driver itself says that no recovery action is needed (NVML 12.8,
// driver 570) or where the GPU was seen broken and is repaired, `quietWithoutVerdict` elsewhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace railhead::gpu {

struct HealthPolicy {
  // Xids that a faulty program causes on a sound GPU: graphics engine exception, memory page fault,
  // GPU stopped processing, preemptive cleanup, video processor exception, context switch timeout.
  // The same set as NVIDIA's device plugin (internal/rm/health.go, v0.20); meanings:
  // docs.nvidia.com/deploy/xid-errors.
  std::set<std::uint64_t> applicationXids{13, 31, 43, 45, 68, 109};
  std::chrono::milliseconds quiet{10'000};
  std::chrono::milliseconds quietWithoutVerdict{300'000};
  // A row remapping that failed once is remembered by the GPU for good (NVIDIA: replace it).
  bool remapFailureIsFault = true;
};

enum class GpuEventKind { kXid, kDoubleBitEcc, kFatalPoison, kUnavailable };

struct GpuEvent {
  std::string gpu;  // UUID
  GpuEventKind kind = GpuEventKind::kXid;
  std::uint64_t xid = 0;  // 999: unknown to the driver
  // The MIG instances it belongs to; absent: the whole GPU.
  std::optional<unsigned> gpuInstance, computeInstance;
};

// What asking a GPU tells of its state.
struct GpuCondition {
  std::string fault;    // not empty: it cannot be used, for this reason
  std::string pending;  // not empty: it can be used, but a repair waits for a reset
  bool lost = false;    // it fell off the bus: a fault, too
  bool remapFailed = false;
  bool verdict = false;  // the driver itself said that no recovery action is needed
};

struct WatchedMig {
  std::string uuid;
  std::optional<unsigned> gpuInstance, computeInstance;
  auto operator<=>(const WatchedMig&) const = default;
};

struct WatchedGpu {
  std::string uuid;
  std::vector<WatchedMig> migs;
  auto operator<=>(const WatchedGpu&) const = default;
};

struct HealthChange {
  std::string uuid;    // of a GPU or a MIG device
  std::string reason;  // why it is unhealthy, one line; empty: it is healthy
  auto operator<=>(const HealthChange&) const = default;
};

// Not thread-safe. A device is healthy until something is known against it.
class GpuHealth {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  explicit GpuHealth(HealthPolicy policy) : policy_(std::move(policy)) {}

  // What the driver has now. One that it had before and has no longer is unhealthy until it is
  // back; MIG devices that are gone are forgotten, for they were taken apart on purpose.
  void setPresent(const std::vector<WatchedGpu>& gpus);
  void onEvent(const GpuEvent& event, TimePoint now);
  void onCondition(const std::string& gpu, const GpuCondition& condition, TimePoint now);

  // Since the last call, in order of UUID; each device at most once. One that is forgotten while
  // unhealthy counts as healthy: its UUID may come to be again.
  std::vector<HealthChange> takeChanges();

  bool anyUnhealthy() const;
  bool allGpusUnhealthy() const;  // whole GPUs; false when there are none
  bool anyAbsent() const;         // one that the driver had and has no longer

 private:
  struct Mark {
    std::string reason;  // what an event said; empty: nothing
    TimePoint last{};    // of the last such event
  };
  struct State {
    WatchedGpu gpu;
    bool present = true;
    std::string fault;
    std::string pending;
    bool wasBroken = false;  // a fault was seen since the last mark: its end is the repair's proof
    TimePoint lastBad{};     // when fault or pending was last seen
    Mark mark;
    std::map<std::string, Mark> migMarks;  // by UUID
  };
  std::string reasonOf(const State& state, const Mark& mark) const;
  std::map<std::string, std::string> reasons() const;  // by device

  HealthPolicy policy_;
  std::map<std::string, State> gpus_;  // by UUID
  std::map<std::string, std::string> told_;
};

}  // namespace railhead::gpu
