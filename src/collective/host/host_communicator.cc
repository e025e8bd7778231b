#include "src/collective/host/host_communicator.h"

#include "src/base/text.h"
#include "src/collective/host/rail_reach.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include <gloo/config.h>

namespace railhead::collective {

// One rail's thread and the calls that wait for it.
class HostCommunicator::RailWorker {
 public:
  struct Job {
    Call call;
    Share share;
    Algorithm algorithm = Algorithm::kRing;
    const std::byte* send = nullptr;
    std::byte* receive = nullptr;
  };

  explicit RailWorker(std::unique_ptr<GlooLanes> lanes)
      : lanes_(std::move(lanes)), thread_([this] { run(); }) {}
  ~RailWorker() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      if (busy_) lanes_->close();  // nobody waits for it any more
    }
    changed_.notify_all();
    thread_.join();
  }

  void add(const Job& job) {
    {
      const std::lock_guard lock(mutex_);
      jobs_.push_back(job);
    }
    changed_.notify_all();
  }

  Result<void> wait(Deadline deadline) {
    std::unique_lock lock(mutex_);
    const bool done =
        changed_.wait_until(lock, deadline, [&] { return failure_ || (jobs_.empty() && !busy_); });
    if (failure_) return *failure_;
    if (!done) return Error(ErrorCode::kDeadlineExceeded, "a collective did not end in time");
    return {};
  }

  // Returns when nothing is read or written any more.
  void abort() {
    lanes_->close();
    std::unique_lock lock(mutex_);
    if (!failure_) failure_ = Error(ErrorCode::kUnavailable, "the collective was given up");
    jobs_.clear();
    changed_.notify_all();
    changed_.wait(lock, [&] { return !busy_; });
  }

 private:
  void run() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [&] { return stopping_ || !jobs_.empty(); });
      if (stopping_) return;
      const Job job = jobs_.front();
      jobs_.pop_front();
      busy_ = true;
      std::optional<Error> failure = failure_;
      if (!failure) {
        lock.unlock();
        const auto done =
            runCall(*lanes_, job.call, job.share, job.algorithm, job.send, job.receive);
        lock.lock();
        if (!done.has_value()) failure = done.error();
      }
      busy_ = false;
      if (failure && !failure_) failure_ = failure;
      changed_.notify_all();
    }
  }

  std::unique_ptr<GlooLanes> lanes_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> jobs_;
  bool busy_ = false;
  bool stopping_ = false;
  std::optional<Error> failure_;  // the first; nothing runs after it
  std::thread thread_;
};

HostCommunicator::HostCommunicator(int rank, int ranks, HostSettings settings,
                                   std::unique_ptr<Memory> memory)
    : rank_(rank), ranks_(ranks), settings_(std::move(settings)), memory_(std::move(memory)) {}

HostCommunicator::~HostCommunicator() = default;

Result<std::unique_ptr<HostCommunicator>> HostCommunicator::connect(
    int rank, int ranks, const HostSettings& settings, const Gather& gather,
    std::unique_ptr<Memory> memory) {
  if (settings.rails.empty()) return Error(ErrorCode::kInternal, "a host backend without a rail");
  RAILHEAD_TRY_ASSIGN(const auto counts, gather(std::to_string(settings.rails.size())));
  for (std::size_t peer = 0; peer < counts.size(); ++peer) {
    const auto count = parseUnsigned(counts[peer]).value_or(0);
    if (count != settings.rails.size()) return unequalRails(peer, count, settings.rails.size());
  }
  std::unique_ptr<HostCommunicator> out(
      new HostCommunicator(rank, ranks, settings, std::move(memory)));
  for (const auto& rail : settings.rails) {
    RAILHEAD_TRY_ASSIGN(auto lanes, GlooLanes::connect(rank, ranks, rail, settings.lanes, gather));
    out->workers_.push_back(std::make_unique<RailWorker>(std::move(lanes)));
  }
  return out;
}

BackendDescription HostCommunicator::describe() const {
  BackendDescription out;
  out.name = "host";
  out.version = "gloo " + std::to_string(GLOO_VERSION_MAJOR) + "." +
                std::to_string(GLOO_VERSION_MINOR) + "." + std::to_string(GLOO_VERSION_PATCH);
  for (const auto& rail : settings_.rails) out.transports.push_back(rail.toString());
  return out;
}

Result<void> HostCommunicator::supports(const Call& call) const {
  RAILHEAD_TRY(shapeOf(call, rank_, ranks_));
  return {};
}

Result<void> HostCommunicator::enqueue(const Call& call, const void* send, void* receive) {
  RAILHEAD_TRY(supports(call));
  const std::size_t bytes = call.count * elementBytes(call.type);
  const Algorithm algorithm = bytes <= settings_.directUpTo ? Algorithm::kDirect : Algorithm::kRing;
  for (std::size_t rail = 0; rail < workers_.size(); ++rail) {
    RAILHEAD_TRY_ASSIGN(const Share share, shareOf(call, ranks_, rail, workers_.size()));
    if (share.count == 0) continue;
    workers_[rail]->add({call, share, algorithm, static_cast<const std::byte*>(send),
                         static_cast<std::byte*>(receive)});
  }
  return {};
}

Result<void> HostCommunicator::wait(Deadline deadline) {
  for (std::size_t rail = 0; rail < workers_.size(); ++rail) {
    auto done = workers_[rail]->wait(deadline);
    if (done.has_value()) continue;
    abort();  // whoever waited in vain frees the memory next
    return std::move(done).addContext(settings_.rails[rail].toString());
  }
  return {};
}

void HostCommunicator::abort() {
  for (const auto& worker : workers_) worker->abort();
}

}  // namespace railhead::collective
