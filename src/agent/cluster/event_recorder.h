// Kubernetes events (events.k8s.io/v1) about the node and its pods, written by a thread of its own.
// The same event again counts up; too many are left out. Without the right to write them the
// recorder says so once and does nothing from then on.
#pragma once

#include "src/agent/cluster/work_queue.h"
#include "src/base/result.h"
#include "src/kube/api/api_server.h"
#include "src/kube/api/retry_pause.h"
#include "src/os/clock.h"
#include "src/os/log.h"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

namespace railhead::agent {

struct EventSubject {
  std::string kind;          // "Node", "Pod"
  std::string podNamespace;  // empty for a node
  std::string name;
  std::string uid;
};
// As kubelet names its node, so that `kubectl describe node` shows the event.
EventSubject nodeSubject(const std::string& node);

struct ClusterEvent {
  EventSubject subject;
  bool warning = false;
  std::string reason;  // "RailUnhealthy"
  std::string action;  // what was done: "Attach"
  std::string note;    // for a person; cut at 1024 bytes
};

struct EventLimits {
  unsigned burst = 20;                   // events and counts written at once
  std::chrono::seconds refill{5};        // then one for each of these
  std::chrono::seconds sameWithin{600};  // an equal event within this counts up
  std::size_t remembered = 128;          // different ones
  int tries = 3;
  kube::PauseLimits pauses{std::chrono::milliseconds(500), std::chrono::milliseconds(5000)};
};

class EventRecorder {
 public:
  // `node` writes them. All outlive it.
  static Result<std::unique_ptr<EventRecorder>> start(kube::ApiServer& api, os::Clock& clock,
                                                      os::Log& log, std::string node,
                                                      EventLimits limits = {});
  ~EventRecorder();  // ends the call under way, joins; what waits is left out
  EventRecorder(const EventRecorder&) = delete;
  EventRecorder& operator=(const EventRecorder&) = delete;

  // Never waits. Thread-safe.
  void record(const ClusterEvent& event);
  std::uint64_t leftOut() const;  // by the rate limit or a failing API server

 private:
  struct Series {
    ClusterEvent event;
    std::string objectName;
    bool created = false;
    bool queued = false;
    std::uint64_t count = 1;
    os::Clock::TimePoint last;
    std::chrono::system_clock::time_point firstTime;
    std::chrono::system_clock::time_point lastTime;
  };

  EventRecorder(kube::ApiServer& api, os::Clock& clock, os::Log& log, std::string node,
                EventLimits limits, kube::Cancel cancel);
  void run();
  Result<void> write(const Series& series);
  Result<void> create(const Series& series);
  Result<void> countUp(const Series& series);
  // With mutex_ held.
  bool spend();
  void forgetOldest();

  kube::ApiServer& api_;
  os::Clock& clock_;
  os::Log& log_;
  const std::string node_;
  const EventLimits limits_;
  kube::Cancel cancel_;
  WorkQueue<std::string> queue_;  // keys of series
  mutable std::mutex mutex_;
  std::map<std::string, Series> series_;
  double tokens_;
  os::Clock::TimePoint refilled_;
  std::uint64_t leftOut_ = 0;
  std::uint64_t named_ = 0;
  std::atomic<bool> off_ = false;
  std::string lastFailure_;  // the thread's own
  std::thread thread_;
};

}  // namespace railhead::agent
