#include "src/gpu/health.h"

#include <algorithm>
#include <utility>

namespace railhead::gpu {
namespace {

std::string describe(const GpuEvent& event) {
  switch (event.kind) {
    case GpuEventKind::kXid:
      return event.xid == 999 ? std::string("an Xid that the driver cannot name")
                              : "Xid " + std::to_string(event.xid);
    case GpuEventKind::kDoubleBitEcc:
      return "double-bit ECC error";
    case GpuEventKind::kFatalPoison:
      return "fatal memory poison error";
    case GpuEventKind::kUnavailable:
      return "the driver reports the GPU unavailable";
  }
  return "unknown event";
}

bool belongsTo(const GpuEvent& event, const WatchedMig& mig) {
  if (mig.gpuInstance != event.gpuInstance) return false;
  return !event.computeInstance || mig.computeInstance == event.computeInstance;
}

}  // namespace

void GpuHealth::setPresent(const std::vector<WatchedGpu>& gpus) {
  for (auto& [uuid, state] : gpus_) {
    if (!std::exchange(state.present, false)) state.wasBroken = true;
  }
  for (const auto& gpu : gpus) {
    auto& state = gpus_[gpu.uuid];
    state.present = true;
    state.gpu = gpu;
    std::erase_if(state.migMarks, [&](const auto& entry) {
      return std::none_of(gpu.migs.begin(), gpu.migs.end(),
                          [&](const auto& mig) { return mig.uuid == entry.first; });
    });
  }
}

void GpuHealth::onEvent(const GpuEvent& event, TimePoint now) {
  const auto found = gpus_.find(event.gpu);
  if (found == gpus_.end()) return;
  if (event.kind == GpuEventKind::kXid && policy_.applicationXids.contains(event.xid)) return;
  State& state = found->second;
  const Mark mark{describe(event), now};
  state.wasBroken = false;
  bool ofInstance = false;
  if (event.gpuInstance) {
    for (const auto& mig : state.gpu.migs) {
      if (!belongsTo(event, mig)) continue;
      state.migMarks[mig.uuid] = mark;
      ofInstance = true;
    }
  }
  if (!ofInstance) state.mark = mark;
}

void GpuHealth::onCondition(const std::string& gpu, const GpuCondition& condition, TimePoint now) {
  const auto found = gpus_.find(gpu);
  if (found == gpus_.end()) return;
  State& state = found->second;
  state.fault = condition.fault;
  if (state.fault.empty() && condition.remapFailed && policy_.remapFailureIsFault)
    state.fault = "a row remapping failed: the GPU's memory needs replacement";
  state.pending = condition.pending;
  if (!state.fault.empty() || !state.pending.empty()) {
    state.wasBroken = true;
    state.lastBad = now;
    return;
  }
  const bool proven = condition.verdict || state.wasBroken;
  const auto needed = proven ? policy_.quiet : policy_.quietWithoutVerdict;
  const auto isOver = [&](const Mark& mark) {
    return now - std::max(mark.last, state.lastBad) >= needed;
  };
  if (isOver(state.mark)) state.mark = {};
  std::erase_if(state.migMarks, [&](const auto& entry) { return isOver(entry.second); });
}

std::string GpuHealth::reasonOf(const State& state, const Mark& mark) const {
  if (!state.present) return "the driver no longer has this GPU";
  if (!state.fault.empty()) return state.fault;
  const std::string& reason = state.mark.reason.empty() ? mark.reason : state.mark.reason;
  if (reason.empty() || state.pending.empty()) return reason;
  return reason + "; " + state.pending;
}

std::map<std::string, std::string> GpuHealth::reasons() const {
  std::map<std::string, std::string> reasons;
  for (const auto& [uuid, state] : gpus_) {
    reasons[uuid] = reasonOf(state, state.mark);
    for (const auto& mig : state.gpu.migs) {
      const auto mark = state.migMarks.find(mig.uuid);
      reasons[mig.uuid] = reasonOf(state, mark == state.migMarks.end() ? Mark{} : mark->second);
    }
  }
  return reasons;
}

std::vector<HealthChange> GpuHealth::takeChanges() {
  std::vector<HealthChange> changes;
  auto now = reasons();
  for (const auto& [uuid, reason] : now) {
    const auto told = told_.find(uuid);
    if (reason != (told == told_.end() ? std::string() : told->second))
      changes.push_back({uuid, reason});
  }
  // Taken apart while unhealthy: the next one of that UUID begins without a reason.
  for (const auto& [uuid, reason] : told_) {
    if (!reason.empty() && !now.contains(uuid)) changes.push_back({uuid, ""});
  }
  std::sort(changes.begin(), changes.end());
  told_ = std::move(now);
  return changes;
}

bool GpuHealth::anyUnhealthy() const {
  const auto all = reasons();
  return std::any_of(all.begin(), all.end(), [](const auto& each) { return !each.second.empty(); });
}

bool GpuHealth::allGpusUnhealthy() const {
  return !gpus_.empty() && std::none_of(gpus_.begin(), gpus_.end(), [this](const auto& each) {
    return reasonOf(each.second, each.second.mark).empty();
  });
}

bool GpuHealth::anyAbsent() const {
  return std::any_of(gpus_.begin(), gpus_.end(),
                     [](const auto& each) { return !each.second.present; });
}

}  // namespace railhead::gpu
