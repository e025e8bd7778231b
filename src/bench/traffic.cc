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
    return Error(ErrorCode::kCheckFailed,
                 where + ": nothing moved for " + std::to_string(kStallLimit.count()) + " s",
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
  Meter(TimePoint start, const VerbsLoad& load)
      : start_(start),
        seconds_(load.seconds),
        messageBytes_(static_cast<double>(load.messageBytes)),
        buckets_(kIntervals, 0) {}

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
    const double inside = secondsBetween(firstInTime_, lastInTime_);
    if (inTime_ >= first_ + 2 && inside > 0) {
      out.messagesPerSecond = static_cast<double>(inTime_ - first_) / inside;
    } else {  // too slow for that: everything over the whole time, emptying included
      out.messagesPerSecond =
          static_cast<double>(messages_) / std::max(secondsBetween(start_, last_), 1e-9);
    }
    out.rate = rateOf(out.messagesPerSecond);
    std::vector<double> messages;
    std::vector<double> gbps;
    for (const double count : buckets_) {
      messages.push_back(count * kIntervals / seconds_);
      gbps.push_back(rateOf(messages.back()).gbps());
    }
    out.messageIntervals = summarize(messages);
    out.intervals = summarize(gbps);
    return out;
  }

 private:
  BitRate rateOf(double messagesPerSecond) const {
    return BitRate::fromBytes(messagesPerSecond * messageBytes_, 1);
  }

  TimePoint start_;
  double seconds_;
  double messageBytes_;
  std::uint64_t messages_ = 0;
  std::uint64_t inTime_ = 0;
  std::uint64_t first_ = 0;  // seen together with the first: they may have waited to be seen
  TimePoint firstInTime_;
  TimePoint lastInTime_;
  TimePoint last_;
  std::vector<double> buckets_;
};

// Posts and counts the messages of one rail.
struct Mover {
  OpenRail* rail;
  SlotTurns turns;
  Meter meter;
  int inFlight = 0;

  Result<void> post(std::size_t pair) {
    RAILHEAD_TRY(rail->postMessage(pair, turns.next(pair), turns.load().messageBytes));
    ++inFlight;
    return {};
  }
};

// One rail's fences, no more of them in flight than messages were.
struct Fencer {
  OpenRail* rail;
  std::vector<std::size_t> left;  // to be posted, of each pair
  std::size_t inFlight = 0;

  Fencer(OpenRail& of, const VerbsLoad& load) : rail(&of) {
    const SlotTurns turns(load, rail->pairCount());
    for (std::size_t pair = 0; pair < rail->pairCount(); ++pair)
      left.push_back(rail->fencesOf(turns, pair));
  }
  Result<void> post(std::size_t pair) {
    if (left[pair] == 0) return {};
    --left[pair];
    ++inFlight;
    return rail->postFence(pair);
  }
};

Result<void> sendFences(const std::vector<OpenRail*>& rails, const VerbsLoad& load, Poller& poller,
                        int controlFd) {
  std::vector<Fencer> fencers;
  for (auto* rail : rails) {
    if (rail->operation() == VerbsOperation::kRead) return {};  // done is done
    Fencer& fencer = fencers.emplace_back(*rail, load);
    const SlotTurns turns(load, rail->pairCount());
    for (std::size_t pair = 0; pair < rail->pairCount(); ++pair) {
      for (std::size_t i = 0; i < turns.slotsOf(pair); ++i) RAILHEAD_TRY(fencer.post(pair));
    }
  }
  const auto waiting = [&] {
    return std::any_of(fencers.begin(), fencers.end(),
                       [](const Fencer& fencer) { return fencer.inFlight > 0; });
  };
  while (waiting()) {
    RAILHEAD_TRY(
        waitForProgress(poller, controlFd, rails.front()->label(),
                        [&](std::size_t index, const Completion& completion) -> Result<void> {
                          --fencers[index].inFlight;
                          RAILHEAD_TRY(rails[index]->checkCompletion(completion));
                          return fencers[index].post(completion.id);
                        }));
  }
  return {};
}

std::string labels(const std::vector<OpenRail*>& rails) {
  return rails.size() == 1 ? rails.front()->label() : std::to_string(rails.size()) + " rails";
}

}  // namespace

Result<std::vector<RailTraffic>> moveForTime(const std::vector<OpenRail*>& rails,
                                             const VerbsLoad& load, int controlFd) {
  Poller poller = pollerFor(rails);
  const TimePoint start = Clock::now();
  const TimePoint end = start + std::chrono::duration_cast<Clock::duration>(
                                    std::chrono::duration<double>(load.seconds));
  std::vector<Mover> movers;
  for (auto* rail : rails) movers.push_back({rail, {load, rail->pairCount()}, {start, load}});
  for (int i = 0; i < load.outstanding; ++i) {
    for (auto& mover : movers) {
      RAILHEAD_TRY(mover.post(static_cast<std::size_t>(i) % mover.rail->pairCount()));
    }
  }
  std::optional<TimePoint> round;
  const auto handler = [&](std::size_t index, const Completion& completion) -> Result<void> {
    Mover& mover = movers[index];
    RAILHEAD_TRY(mover.rail->checkCompletion(completion));
    if (!round) round = Clock::now();
    const TimePoint now = *round;
    mover.meter.acknowledged(now);
    --mover.inFlight;
    return now < end ? mover.post(completion.id) : Result<void>();
  };
  const auto busy = [&] {
    return std::any_of(movers.begin(), movers.end(),
                       [](const Mover& mover) { return mover.inFlight > 0; });
  };
  const std::string where = labels(rails);
  while (busy()) {
    round.reset();
    RAILHEAD_TRY(waitForProgress(poller, controlFd, where, handler));
  }
  RAILHEAD_TRY(sendFences(rails, load, poller, controlFd));
  std::vector<RailTraffic> out;
  for (const auto& mover : movers) out.push_back(mover.meter.result());
  return out;
}

Result<void> moveOnce(OpenRail& rail, const VerbsLoad& load, int controlFd) {
  Poller poller = pollerFor({&rail});
  SlotTurns turns(load, rail.pairCount());
  int inFlight = 0;
  for (; inFlight < load.outstanding; ++inFlight) {
    const std::size_t pair = static_cast<std::size_t>(inFlight) % rail.pairCount();
    RAILHEAD_TRY(rail.postMessage(pair, turns.next(pair), load.messageBytes));
  }
  while (inFlight > 0) {
    RAILHEAD_TRY(waitForProgress(poller, controlFd, rail.label(),
                                 [&](std::size_t, const Completion& completion) {
                                   --inFlight;
                                   return rail.checkCompletion(completion);
                                 }));
  }
  return sendFences({&rail}, load, poller, controlFd);
}

Result<void> receive(const std::vector<OpenRail*>& rails, int controlFd) {
  Poller poller = pollerFor(rails);
  const auto missing = [&] {
    return std::any_of(rails.begin(), rails.end(),
                       [](const OpenRail* rail) { return rail->fencesMissing(); });
  };
  const std::string where = labels(rails) + ", waiting for the end of what the peer sends";
  while (missing()) {
    RAILHEAD_TRY(waitForProgress(poller, controlFd, where,
                                 [&](std::size_t index, const Completion& completion) {
                                   return rails[index]->take(completion);
                                 }));
  }
  return {};
}

}  // namespace railhead::bench
