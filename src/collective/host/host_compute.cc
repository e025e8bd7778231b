#include "src/collective/host/host_compute.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include <sched.h>

namespace railhead::collective {
namespace {

// Multiplications and additions of one unit, one behind the other: about 10 µs of a core of 3 GHz.
constexpr int kStepsInUnit = 4096;

// The seed keeps the compiler from knowing the result.
double workOff(double seed) {
  double value = seed;
  for (int i = 0; i < kStepsInUnit; ++i) value = value * 0.999999 + 1e-6;
  return value;
}

}  // namespace

class HostCompute::Pile {
 public:
  explicit Pile(int threads) {
    for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { run(); });
  }
  ~Pile() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    for (auto& thread : threads_) thread.join();
  }
  Pile(const Pile&) = delete;
  Pile& operator=(const Pile&) = delete;

  void add(std::uint64_t units) {
    {
      const std::lock_guard lock(mutex_);
      waiting_ += units;
      begun_ += units;
    }
    changed_.notify_all();
  }
  bool wait(std::chrono::steady_clock::time_point deadline) {
    std::unique_lock lock(mutex_);
    return changed_.wait_until(lock, deadline, [&] { return done_ == begun_; });
  }
  std::uint64_t done() {
    const std::lock_guard lock(mutex_);
    return done_;
  }

 private:
  void run() {
    double value = 1;
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [&] { return stopping_ || waiting_ > 0; });
      if (stopping_) return;
      --waiting_;
      lock.unlock();
      value = workOff(value);
      lock.lock();
      sum_ += value;  // kept, so that it is worked out
      if (++done_ == begun_) changed_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t begun_ = 0;
  std::uint64_t waiting_ = 0;  // of them, taken by no thread yet
  std::uint64_t done_ = 0;
  double sum_ = 0;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

HostCompute::HostCompute(int threads)
    : pile_(std::make_unique<Pile>(std::max(1, threads))), threads_(std::max(1, threads)) {}
HostCompute::~HostCompute() = default;

std::string HostCompute::describe() const {
  return std::to_string(threads_) + (threads_ == 1 ? " thread" : " threads");
}

Result<void> HostCompute::start(std::uint64_t units) {
  pile_->add(units);
  return {};
}

Result<void> HostCompute::wait(std::chrono::steady_clock::time_point deadline) {
  if (pile_->wait(deadline)) return {};
  return Error(ErrorCode::kDeadlineExceeded,
               "compute of " + describe() + " beside a collective did not end in time");
}

Result<std::uint64_t> HostCompute::done() { return pile_->done(); }

int computeThreads(int ranksHere) {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  const int usable = ::sched_getaffinity(0, sizeof cores, &cores) == 0 ? CPU_COUNT(&cores) : 1;
  return std::max(1, usable / std::max(1, ranksHere));
}

}  // namespace railhead::collective
