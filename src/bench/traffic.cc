#include "src/bench/traffic.h"

#include <algorithm>
#include <chrono>
#include <optional>

namespace railhead::bench {
namespace {

using Clock = std::chrono::steady_clock;
using TimePoint = Clock::time_point;
using verbs::Completion;
using verbs::Poller;

constexpr int kIntervals = 10;

double secondsBetween(TimePoint from, TimePoint to) {
  return std::chrono::duration<double>(to - from).count();
}

Poller pollerFor(const std::vector<OpenRail*>& rails) {
  std::vector<verbs::CompletionQueue*> queues;
  std::vector<const verbs::DeviceInfo*> devices;
  for (const auto* rail : rails) {
    queues.push_back(&rail->queue());
    devices.push_back(&rail->choice().device);
  }
  return Poller(std::move(queues), verbs::PollPolicy::forDevices(devices));
}

// One wait for progress, with the ways it can fail told apart.
Result<void> waitForProgress(Poller& poller, int controlFd, const std::string& where,
                             const Poller::Handler& handler) {
  auto left = poller.waitOrReadable(Clock::now() + kStallLimit, controlFd, handler);
  if (!left.has_value() && left.error().code == ErrorCode::kDeadlineExceeded) {
    return Error(
        ErrorCode::kCheckFailed,
        where + ": no write was acknowledged for " + std::to_string(kStallLimit.count()) + " s",
        "check the link of this rail");
  }
  if (!left.has_value()) return std::move(left).error();
  if (*left) return Error(ErrorCode::kUnavailable, where + ": the peer left during the test");
  return {};
}

// Acknowledgements of one rail over the time of a measurement. Those taken in one round carry one
// time.
class Meter {
 public:
  Meter(TimePoint start, double seconds, std::size_t messageBytes)
      : start_(start), seconds_(seconds), messageBytes_(messageBytes), buckets_(kIntervals, 0) {}

  void acknowledged(TimePoint when) {
    ++messages_;
    last_ = when;
    const double at = secondsBetween(start_, when);
    if (at >= seconds_) return;
    if (inTime_ == 0) firstInTime_ = when;
    ++inTime_;
    if (when == firstInTime_) ++first_;
    lastInTime_ = when;
    buckets_[std::min<std::size_t>(kIntervals - 1,
                                   static_cast<std::size_t>(at / seconds_ * kIntervals))] += 1;
  }

  RailTraffic result() const {
    RailTraffic out;
    out.messages = messages_;
    const double inside = secondsBetween(firstInTime_, lastInTime_);
    if (inTime_ >= first_ + 2 && inside > 0) {
      out.rate = rate(static_cast<double>(inTime_ - first_), inside);
    } else {  // too slow for that: everything over the whole time, emptying included
      out.rate = rate(static_cast<double>(messages_), secondsBetween(start_, last_));
    }
    std::vector<double> samples;
    for (const double count : buckets_)
      samples.push_back(rate(count, seconds_ / kIntervals).gbps());
    out.intervals = summarize(samples);
    return out;
  }

 private:
  BitRate rate(double messages, double seconds) const {
    return BitRate::fromBytes(messages * static_cast<double>(messageBytes_),
                              std::max(seconds, 1e-9));
  }

  TimePoint start_;
  double seconds_;
  std::size_t messageBytes_;
  std::uint64_t messages_ = 0;
  std::uint64_t inTime_ = 0;
  std::uint64_t first_ = 0;  // seen together with the first: they may have waited to be seen
  TimePoint firstInTime_;
  TimePoint lastInTime_;
  TimePoint last_;
  std::vector<double> buckets_;
};

// Posts and counts the messages of one rail.
struct Sender {
  OpenRail* rail;
  Meter meter;
  std::uint64_t posted = 0;
  int inFlight = 0;

  // Slots are taken in order, so `posted` also says how much of the buffer the peer has.
  Result<void> post(std::size_t pair) {
    RAILHEAD_TRY(rail->postMessage(pair, posted % rail->slotCount()));
    ++posted;
    ++inFlight;
    return {};
  }
};

Result<void> sendFences(const std::vector<OpenRail*>& rails, Poller& poller, int controlFd) {
  std::size_t waiting = 0;
  for (auto* rail : rails) {
    RAILHEAD_TRY(rail->postFences());
    waiting += rail->pairCount();
  }
  while (waiting > 0) {
    RAILHEAD_TRY(waitForProgress(poller, controlFd, rails.front()->label(),
                                 [&](std::size_t index, const Completion& completion) {
                                   --waiting;
                                   return rails[index]->checkCompletion(completion);
                                 }));
  }
  return {};
}

std::string labels(const std::vector<OpenRail*>& rails) {
  return rails.size() == 1 ? rails.front()->label() : std::to_string(rails.size()) + " rails";
}

}  // namespace

Result<std::vector<RailTraffic>> writeForTime(const std::vector<OpenRail*>& rails,
                                              const VerbsPlan& plan, int controlFd) {
  Poller poller = pollerFor(rails);
  const TimePoint start = Clock::now();
  const TimePoint end = start + std::chrono::duration_cast<Clock::duration>(
                                    std::chrono::duration<double>(plan.seconds));
  std::vector<Sender> senders;
  for (auto* rail : rails) senders.push_back({rail, {start, plan.seconds, plan.messageBytes}});
  for (int i = 0; i < plan.outstanding; ++i) {
    for (auto& sender : senders) {
      RAILHEAD_TRY(sender.post(static_cast<std::size_t>(i) % sender.rail->pairCount()));
    }
  }
  std::optional<TimePoint> round;
  const auto handler = [&](std::size_t index, const Completion& completion) -> Result<void> {
    Sender& sender = senders[index];
    RAILHEAD_TRY(sender.rail->checkCompletion(completion));
    if (!round) round = Clock::now();
    const TimePoint now = *round;
    sender.meter.acknowledged(now);
    --sender.inFlight;
    return now < end ? sender.post(completion.id) : Result<void>();
  };
  const auto busy = [&] {
    return std::any_of(senders.begin(), senders.end(),
                       [](const Sender& sender) { return sender.inFlight > 0; });
  };
  const std::string where = labels(rails);
  while (busy()) {
    round.reset();
    RAILHEAD_TRY(waitForProgress(poller, controlFd, where, handler));
  }
  RAILHEAD_TRY(sendFences(rails, poller, controlFd));
  std::vector<RailTraffic> out;
  for (const auto& sender : senders) out.push_back(sender.meter.result());
  return out;
}

Result<void> writeBuffer(OpenRail& rail, int controlFd) {
  Poller poller = pollerFor({&rail});
  std::size_t inFlight = 0;
  for (std::size_t slot = 0; slot < rail.slotCount(); ++slot, ++inFlight) {
    RAILHEAD_TRY(rail.postMessage(slot % rail.pairCount(), slot));
  }
  while (inFlight > 0) {
    RAILHEAD_TRY(waitForProgress(poller, controlFd, rail.label(),
                                 [&](std::size_t, const Completion& completion) {
                                   --inFlight;
                                   return rail.checkCompletion(completion);
                                 }));
  }
  return sendFences({&rail}, poller, controlFd);
}

}  // namespace railhead::bench
