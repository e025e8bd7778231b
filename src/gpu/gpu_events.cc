#include "src/gpu/gpu_events.h"

#include "src/gpu/condition.h"
#include "src/gpu/device_list.h"
#include "src/gpu/event_set.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <utility>

namespace railhead::gpu {
namespace {

constexpr int kListings = 3;  // of devices that change all the while

// Clock, P-state, power and corrected single-bit errors say nothing about health.
constexpr unsigned long long kWanted = abi::kEventXid | abi::kEventDoubleBitEcc |
                                       abi::kEventMigConfig | abi::kEventFatalPoison |
                                       abi::kEventGpuUnavailable | abi::kEventRecoveryAction;

std::optional<GpuEventKind> kindOf(unsigned long long type) {
  if (type == abi::kEventXid) return GpuEventKind::kXid;
  if (type == abi::kEventDoubleBitEcc) return GpuEventKind::kDoubleBitEcc;
  if (type == abi::kEventFatalPoison) return GpuEventKind::kFatalPoison;
  if (type == abi::kEventGpuUnavailable) return GpuEventKind::kUnavailable;
  return std::nullopt;
}

std::optional<unsigned> instance(unsigned int id) {
  return id == abi::kNoInstance ? std::nullopt : std::optional<unsigned>(id);
}

std::vector<WatchedGpu> watchedOf(const DeviceList& list) {
  std::vector<WatchedGpu> gpus;
  for (const auto& gpu : list.gpus) {
    WatchedGpu watched{gpu.uuid, {}};
    for (const auto& mig : gpu.migs)
      watched.migs.push_back({mig.uuid, mig.gpuInstance, mig.computeInstance});
    gpus.push_back(std::move(watched));
  }
  return gpus;
}

// The devices as they were listed, and the events of those that deliver any.
struct Watched {
  DeviceList list;
  std::unique_ptr<EventSet> events;
  std::size_t registered = 0;
  bool lost = false;  // one of them is: only a new session can see the end of it
  bool sick = false;  // to be listed again
};

}  // namespace

struct GpuWatcher::Work {
  Work(GpuLibrary& l, os::Clock& c, GpuWatchOptions o, GpuWatchCallbacks b)
      : library(l),
        clock(c),
        options(std::move(o)),
        callbacks(std::move(b)),
        health(options.policy) {}

  GpuLibrary& library;
  os::Clock& clock;
  const GpuWatchOptions options;
  const GpuWatchCallbacks callbacks;

  // The thread's own.
  GpuHealth health;
  std::vector<WatchedGpu> present;
  std::set<std::string> toldProblems;
  std::vector<std::string> listProblems;    // of the last listing
  std::chrono::milliseconds reopenAfter{};  // since then

  mutable std::mutex mutex;
  std::condition_variable wake;
  bool stopping = false;
  std::map<std::string, std::string> unhealthy;
  std::size_t watched = 0;
  std::thread thread;

  void run();
  std::chrono::milliseconds watchSession(const std::shared_ptr<Nvml>& nvml);
  Result<Watched> watch(const std::shared_ptr<Nvml>& nvml);
  bool onNvmlEvent(const abi::EventData& event, const DeviceList& list);
  bool drain(const Watched& old);
  bool look(const Nvml& nvml, const DeviceList& list);
  std::size_t registerAll(EventSet& events, const DeviceList& list);
  bool setPresent(std::vector<WatchedGpu> gpus);  // whether it changed
  void publish();
  void problem(const std::string& line);
  void setWatched(std::size_t count);
  bool isStopping() const {
    const std::lock_guard lock(mutex);
    return stopping;
  }
  void pause(std::chrono::milliseconds length) {
    std::unique_lock lock(mutex);
    wake.wait_for(lock, length, [this] { return stopping; });
  }
};

void GpuWatcher::Work::problem(const std::string& line) {
  if (toldProblems.size() > 1000) toldProblems.clear();
  if (toldProblems.insert(line).second && callbacks.onProblem) callbacks.onProblem(line);
}

void GpuWatcher::Work::setWatched(std::size_t count) {
  const std::lock_guard lock(mutex);
  watched = count;
}

void GpuWatcher::Work::publish() {
  const auto changes = health.takeChanges();
  {
    const std::lock_guard lock(mutex);
    for (const auto& change : changes) {
      if (change.reason.empty()) {
        unhealthy.erase(change.uuid);
      } else {
        unhealthy[change.uuid] = change.reason;
      }
    }
  }
  if (!callbacks.onHealth) return;
  for (const auto& change : changes) callbacks.onHealth(change);
}

bool GpuWatcher::Work::setPresent(std::vector<WatchedGpu> gpus) {
  health.setPresent(gpus);
  const bool changed = gpus != present;
  present = std::move(gpus);
  if (changed && callbacks.onDevicesChanged) callbacks.onDevicesChanged();
  return changed;
}

// Asks each GPU; whether one of them is lost, which only a new session can see the end of.
bool GpuWatcher::Work::look(const Nvml& nvml, const DeviceList& list) {
  bool lost = false;
  for (const auto& gpu : list.gpus) {
    const auto condition = readCondition(nvml, gpu.device);
    lost = lost || condition.lost;
    health.onCondition(gpu.uuid, condition, clock.now());
  }
  publish();
  return lost;
}

std::size_t GpuWatcher::Work::registerAll(EventSet& events, const DeviceList& list) {
  std::size_t registered = 0;
  for (const auto& gpu : list.gpus) {
    if ((events.add(gpu.device, kWanted) & abi::kEventXid) != 0) {
      ++registered;
    } else {
      problem("GPU " + gpu.uuid + " does not deliver Xid events: only what a look at it every " +
              std::to_string(options.backstop.count() / 1000) + " s shows makes it unhealthy");
    }
  }
  return registered;
}

// Whether the devices must be listed anew.
bool GpuWatcher::Work::onNvmlEvent(const abi::EventData& event, const DeviceList& list) {
  if (event.eventType == abi::kEventMigConfig) return true;
  const auto kind = kindOf(event.eventType);
  const auto gpu = std::find_if(list.gpus.begin(), list.gpus.end(),
                                [&](const auto& each) { return each.device == event.device; });
  if (!kind || gpu == list.gpus.end()) return false;
  const GpuEvent told{gpu->uuid, *kind, event.eventData, instance(event.gpuInstanceId),
                      instance(event.computeInstanceId)};
  health.onEvent(told, clock.now());
  if (callbacks.onEvent) callbacks.onEvent(told);
  publish();
  return false;
}

Result<Watched> GpuWatcher::Work::watch(const std::shared_ptr<Nvml>& nvml) {
  Watched now;
  RAILHEAD_TRY_ASSIGN(now.list, listDevices(*nvml));
  // What changes before its events are asked for is told by none: listed again behind that, and
  // only then passed on.
  for (int attempt = 0; attempt < kListings; ++attempt) {
    now.events = std::make_unique<EventSet>(nvml);
    now.registered = registerAll(*now.events, now.list);
    RAILHEAD_TRY_ASSIGN(auto again, listDevices(*nvml));
    const bool same = watchedOf(again) == watchedOf(now.list);
    now.list = std::move(again);
    if (same) break;
  }
  const auto& problems = now.list.problems;
  for (const auto& line : problems) problem(line);
  const bool changed = setPresent(watchedOf(now.list)) || problems != listProblems;
  listProblems = problems;
  setWatched(now.registered);
  now.lost = look(*nvml, now.list) || health.anyAbsent();
  now.sick = now.lost || !problems.empty();
  reopenAfter = changed || !now.sick ? options.reopenInterval
                                     : std::min(2 * reopenAfter, options.reopenLimit);
  return now;
}

// What came before its successor stood. An event in between is told twice, which changes nothing.
// Whether the devices must be listed anew.
bool GpuWatcher::Work::drain(const Watched& old) {
  abi::EventData event;
  while (old.registered > 0 &&
         old.events->wait(event, std::chrono::milliseconds(0)) == abi::kSuccess) {
    if (onNvmlEvent(event, old.list)) return true;
  }
  return false;
}

// Until the session must end; how long to stay without one.
std::chrono::milliseconds GpuWatcher::Work::watchSession(const std::shared_ptr<Nvml>& nvml) {
  using SteadyClock = std::chrono::steady_clock;
  using namespace std::chrono_literals;
  auto now = watch(nvml);
  if (!now) {
    problem(now.error().message);
    setPresent({});
    publish();
    return options.reopenInterval;
  }
  auto listed = SteadyClock::now();
  auto lastLook = listed;
  while (!isStopping()) {
    const bool unwell = health.anyUnhealthy();
    if (options.releaseWhileNoneIsHealthy && health.allGpusUnhealthy())
      return options.probeInterval;
    if (now->sick && SteadyClock::now() - listed >= reopenAfter) {
      if (now->lost) return 0ms;
      // The others' events keep coming: the new set stands before the old one goes.
      auto next = watch(nvml);
      if (!next || drain(*now)) return 0ms;
      now = std::move(next);
      lastLook = listed = SteadyClock::now();
      continue;
    }
    if (SteadyClock::now() - lastLook >= (unwell ? options.probeInterval : options.backstop)) {
      now->lost = look(*nvml, now->list) || now->lost;
      now->sick = now->sick || now->lost;
      lastLook = SteadyClock::now();
      continue;
    }
    const auto slice = unwell || now->sick ? std::min(options.waitSlice, options.probeInterval)
                                           : options.waitSlice;
    if (now->registered == 0) {
      pause(slice);
      continue;
    }
    abi::EventData event;
    const abi::Return code = now->events->wait(event, slice);
    if (code == abi::kTimeout) continue;
    if (code == abi::kSuccess) {
      if (event.eventType == abi::kEventRecoveryAction) lastLook = {};
      if (onNvmlEvent(event, now->list)) return 0ms;
      continue;
    }
    // A GPU is lost, or the driver goes away: see who, then start over. Never at once, for NVML
    // would answer the same again.
    problem("waiting for GPU events: " + nvmlCodeText(code));
    look(*nvml, now->list);
    return options.probeInterval;
  }
  return 0ms;
}

void GpuWatcher::Work::run() {
  while (!isStopping()) {
    auto session = library.session();
    std::chrono::milliseconds rest = options.reopenInterval;
    if (session && session->nvml) {
      rest = watchSession(session->nvml);
      session->nvml.reset();
    } else {
      problem(session ? "no GPU driver: " + session->absence : session.error().describe());
      setPresent({});
      publish();
    }
    setWatched(0);
    if (isStopping()) break;
    library.release();
    pause(rest);
  }
}

GpuWatcher::GpuWatcher(GpuLibrary& library, os::Clock& clock, GpuWatchOptions options,
                       GpuWatchCallbacks callbacks)
    : work_(std::make_unique<Work>(library, clock, std::move(options), std::move(callbacks))) {}

GpuWatcher::~GpuWatcher() { stop(); }

void GpuWatcher::start() {
  work_->thread = std::thread([work = work_.get()] { work->run(); });
}

void GpuWatcher::stop() {
  {
    const std::lock_guard lock(work_->mutex);
    work_->stopping = true;
  }
  work_->wake.notify_all();
  if (work_->thread.joinable()) work_->thread.join();
}

std::map<std::string, std::string> GpuWatcher::unhealthy() const {
  const std::lock_guard lock(work_->mutex);
  return work_->unhealthy;
}

std::size_t GpuWatcher::watched() const {
  const std::lock_guard lock(work_->mutex);
  return work_->watched;
}

}  // namespace railhead::gpu
