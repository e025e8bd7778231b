#include "src/agent/cluster/event_recorder.h"

#include "src/agent/cluster/timestamp.h"
#include "src/json/json.h"

#include <algorithm>
#include <cstdio>

#include <nlohmann/json.hpp>

namespace railhead::agent {
namespace {

using Json = json::Value;

constexpr std::size_t kMaxNote = 1024;
constexpr std::size_t kMaxObjectName = 200;  // of a subject's, in an event's name
constexpr const char* kController = "railhead.io/agent";

std::string keyOf(const ClusterEvent& event) {
  const auto& s = event.subject;
  return s.kind + "|" + s.podNamespace + "|" + s.name + "|" + s.uid + "|" + event.reason + "|" +
         event.note;
}

// Events about what has no namespace stand in "default".
kube::Collection eventsFor(const EventSubject& subject) {
  return {"events.k8s.io", "v1", "events",
          subject.podNamespace.empty() ? "default" : subject.podNamespace};
}

// Not in the middle of a UTF-8 letter.
std::string cut(std::string text) {
  if (text.size() <= kMaxNote) return text;
  std::size_t end = kMaxNote;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
  text.resize(end);
  return text;
}

}  // namespace

EventSubject nodeSubject(const std::string& node) { return {"Node", "", node, node}; }

Result<std::unique_ptr<EventRecorder>> EventRecorder::start(kube::ApiServer& api, os::Clock& clock,
                                                            os::Log& log, std::string node,
                                                            EventLimits limits) {
  RAILHEAD_TRY_ASSIGN(kube::Cancel cancel, kube::Cancel::create());
  return std::unique_ptr<EventRecorder>(
      new EventRecorder(api, clock, log, std::move(node), limits, std::move(cancel)));
}

EventRecorder::EventRecorder(kube::ApiServer& api, os::Clock& clock, os::Log& log, std::string node,
                             EventLimits limits, kube::Cancel cancel)
    : api_(api),
      clock_(clock),
      log_(log),
      node_(std::move(node)),
      limits_(limits),
      cancel_(std::move(cancel)),
      queue_(limits.remembered),
      tokens_(limits.burst),
      refilled_(clock.now()),
      thread_([this] { run(); }) {}

EventRecorder::~EventRecorder() {
  cancel_.cancel();
  queue_.close();
  thread_.join();
}

bool EventRecorder::spend() {
  const auto now = clock_.now();
  const auto gained = std::chrono::duration<double>(now - refilled_) / limits_.refill;
  tokens_ = std::min<double>(limits_.burst, tokens_ + gained);
  refilled_ = now;
  if (tokens_ < 1) return false;
  tokens_ -= 1;
  return true;
}

void EventRecorder::forgetOldest() {
  const auto oldest =
      std::min_element(series_.begin(), series_.end(),
                       [](const auto& a, const auto& b) { return a.second.last < b.second.last; });
  if (oldest != series_.end()) series_.erase(oldest);
}

void EventRecorder::record(const ClusterEvent& event) {
  if (off_) return;
  const std::lock_guard lock(mutex_);
  const auto now = clock_.now();
  const std::string key = keyOf(event);
  auto found = series_.find(key);
  if (found != series_.end() && now - found->second.last > limits_.sameWithin) {
    series_.erase(found);
    found = series_.end();
  }
  if (found == series_.end()) {
    if (!spend()) {
      ++leftOut_;
      return;
    }
    if (series_.size() >= limits_.remembered) forgetOldest();
    Series series;
    series.event = event;
    series.event.note = cut(event.note);
    const auto wall = clock_.wallTime();
    char suffix[40];
    std::snprintf(suffix, sizeof suffix, ".%llx%02llx",
                  static_cast<unsigned long long>(wall.time_since_epoch().count()),
                  static_cast<unsigned long long>(named_++ & 0xff));
    series.objectName = event.subject.name.substr(0, kMaxObjectName) + suffix;
    series.firstTime = series.lastTime = wall;
    series.last = now;
    series.queued = queue_.push(key);
    if (!series.queued) ++leftOut_;
    series_.emplace(key, std::move(series));
    return;
  }
  Series& series = found->second;
  ++series.count;
  series.last = now;
  series.lastTime = clock_.wallTime();
  // Without a token the count is written with the next one.
  if (!series.queued && spend()) series.queued = queue_.push(key);
}

std::uint64_t EventRecorder::leftOut() const {
  const std::lock_guard lock(mutex_);
  return leftOut_;
}

Result<void> EventRecorder::create(const Series& series) {
  const auto& event = series.event;
  Json regarding{{"apiVersion", "v1"}, {"kind", event.subject.kind}, {"name", event.subject.name}};
  if (!event.subject.podNamespace.empty()) regarding["namespace"] = event.subject.podNamespace;
  if (!event.subject.uid.empty()) regarding["uid"] = event.subject.uid;
  const auto collection = eventsFor(event.subject);
  Json object{{"apiVersion", "events.k8s.io/v1"},
              {"kind", "Event"},
              {"metadata", {{"name", series.objectName}, {"namespace", collection.podNamespace}}},
              {"eventTime", microTime(series.firstTime)},
              {"reportingController", kController},
              {"reportingInstance", node_},
              {"action", event.action},
              {"reason", event.reason},
              {"regarding", std::move(regarding)},
              {"note", event.note},
              {"type", event.warning ? "Warning" : "Normal"}};
  if (series.count > 1) {
    object["series"] = {{"count", series.count}, {"lastObservedTime", microTime(series.lastTime)}};
  }
  const auto made = api_.create(collection, json::dump(object), cancel_);
  // An answer that was lost on its way, and the second try.
  if (!made.has_value() && made.error().code != ErrorCode::kAlreadyExists) return made.error();
  return {};
}

Result<void> EventRecorder::countUp(const Series& series) {
  const Json patch{
      {"series", {{"count", series.count}, {"lastObservedTime", microTime(series.lastTime)}}}};
  const auto patched = api_.mergePatch({eventsFor(series.event.subject), series.objectName},
                                       json::dump(patch), cancel_);
  if (patched.has_value()) return {};
  // The server forgets events after an hour or so.
  if (patched.error().code == ErrorCode::kNotFound) return create(series);
  return patched.error();
}

Result<void> EventRecorder::write(const Series& series) {
  kube::RetryPause pause(limits_.pauses);
  for (int left = limits_.tries;;) {
    auto written = series.created ? countUp(series) : create(series);
    if (written.has_value()) return written;
    const auto code = written.error().code;
    const bool later = code == ErrorCode::kUnavailable || code == ErrorCode::kDeadlineExceeded;
    if (!later || --left <= 0 || cancel_.waitFor(pause.next())) return written;
  }
}

void EventRecorder::run() {
  while (const auto key = queue_.pop()) {
    Series series;
    {
      const std::lock_guard lock(mutex_);
      const auto found = series_.find(*key);
      if (found == series_.end()) continue;
      found->second.queued = false;
      series = found->second;
    }
    const auto written = write(series);
    if (cancel_.cancelled()) return;
    const std::lock_guard lock(mutex_);
    if (written.has_value()) {
      lastFailure_.clear();
      const auto found = series_.find(*key);
      if (found != series_.end()) found->second.created = true;
      continue;
    }
    ++leftOut_;
    if (written.error().code == ErrorCode::kPermissionDenied) {
      off_ = true;
      log_.warning("events", "no events are written until the agent starts again: " +
                                 written.error().describe());
      return;
    }
    if (written.error().message == lastFailure_) continue;
    lastFailure_ = written.error().message;
    log_.warning("events", "left out: " + written.error().describe());
  }
}

}  // namespace railhead::agent
