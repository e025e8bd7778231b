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
namespace {

constexpr std::chrono::milliseconds kLook{1};

}  // namespace

// One rail's thread and the calls that wait for it. Only what both share outlives the worker, where
// the thread waits for a peer that is gone when the worker goes: it ends when Gloo's patience does.
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
      : shared_(std::make_shared<Shared>(std::move(lanes))),
        thread_([shared = shared_] { run(*shared); }) {}
  ~RailWorker() {
    std::unique_lock lock(shared_->mutex);
    shared_->stopping = true;
    if (shared_->busy) close(lock);  // nobody waits for it any more
    const bool stays = shared_->busy;
    lock.unlock();
    shared_->changed.notify_all();
    stays ? thread_.detach() : thread_.join();
  }
  RailWorker(const RailWorker&) = delete;
  RailWorker& operator=(const RailWorker&) = delete;

  void add(const Job& job) {
    {
      const std::lock_guard lock(shared_->mutex);
      shared_->jobs.push_back(job);
    }
    shared_->changed.notify_all();
  }

  Result<void> wait(Deadline deadline) {
    Shared& shared = *shared_;
    std::unique_lock lock(shared.mutex);
    const bool done = shared.changed.wait_until(
        lock, deadline, [&] { return shared.failure || (shared.jobs.empty() && !shared.busy); });
    if (shared.failure) return *shared.failure;
    if (!done) return Error(ErrorCode::kDeadlineExceeded, "a collective did not end in time");
    return {};
  }

  // Returns when nothing is read or written any more.
  void abort() {
    std::unique_lock lock(shared_->mutex);
    if (!shared_->failure)
      shared_->failure = Error(ErrorCode::kUnavailable, "the collective was given up");
    shared_->jobs.clear();
    shared_->changed.notify_all();
    close(lock);
  }

 private:
  struct Shared {
    explicit Shared(std::unique_ptr<GlooLanes> theirs) : lanes(std::move(theirs)) {}

    const std::unique_ptr<GlooLanes> lanes;
    std::mutex mutex;
    std::condition_variable changed;
    // Guarded by the mutex.
    std::deque<Job> jobs;
    bool busy = false;
    bool stopping = false;
    std::optional<Error> failure;  // the first; nothing runs after it
  };

  void close(std::unique_lock<std::mutex>& lock) {
    shared_->lanes->close();
    while (shared_->busy && !shared_->lanes->waits()) shared_->changed.wait_for(lock, kLook);
  }

  static void run(Shared& shared) {
    std::unique_lock lock(shared.mutex);
    for (;;) {
      shared.changed.wait(lock, [&] { return shared.stopping || !shared.jobs.empty(); });
      if (shared.stopping) return;
      const Job job = shared.jobs.front();
      shared.jobs.pop_front();
      shared.busy = true;
      std::optional<Error> failure = shared.failure;
      if (!failure) {
        lock.unlock();
        const auto done =
            runCall(*shared.lanes, job.call, job.share, job.algorithm, job.send, job.receive);
        lock.lock();
        if (!done.has_value()) failure = done.error();
      }
      shared.busy = false;
      if (failure && !shared.failure) shared.failure = failure;
      shared.changed.notify_all();
    }
  }

  const std::shared_ptr<Shared> shared_;
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
