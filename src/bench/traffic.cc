#include "src/bench/traffic.h"

#include "src/base/text.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <optional>
#include <utility>

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

// Before the first acknowledgement a message of every queue pair may share one line.
std::chrono::seconds stallLimit(std::size_t rails, std::size_t pairs, std::size_t messageBytes) {
  const double bits = static_cast<double>(rails * pairs * messageBytes) * 8;
  return kStallLimit + std::chrono::seconds(static_cast<std::int64_t>(std::ceil(bits / 4e6)));
}

// Waits for what is under way, with the ways it can fail told apart.
class Progress {
 public:
  // `waiting`: the names of the rails from which something is still to come.
  Progress(Poller& poller, int controlFd, std::chrono::seconds limit,
           std::function<std::string()> waiting)
      : poller_(poller), controlFd_(controlFd), limit_(limit), waiting_(std::move(waiting)) {}

  Result<void> wait(const Poller::Handler& handler) {
    auto left = poller_.waitOrReadable(Clock::now() + limit_, controlFd_, handler);
    if (!left.has_value() && left.error().code == ErrorCode::kDeadlineExceeded) {
      return Error(ErrorCode::kCheckFailed,
                   waiting_() + ": nothing moved for " + std::to_string(limit_.count()) + " s",
                   "check the link of this rail");
    }
    if (!left.has_value()) return std::move(left).error();
    if (*left)
      return Error(ErrorCode::kUnavailable, waiting_() + ": the peer left during the test");
    return {};
  }

 private:
  Poller& poller_;
  int controlFd_;
  std::chrono::seconds limit_;
  std::function<std::string()> waiting_;
};

// The labels of those of `movers` (with a rail and messages in flight) that wait.
template <typename Movers>
std::string waitingLabels(const Movers& movers) {
  std::vector<std::string> labels;
  for (const auto& mover : movers) {
    if (mover.inFlight > 0) labels.push_back(mover.rail->label());
  }
  return join(labels, ", ");
}

std::chrono::seconds stallLimit(const std::vector<OpenRail*>& rails, const VerbsLoad& load) {
  const auto pairs =
      std::min(rails.front()->pairCount(), static_cast<std::size_t>(load.outstanding));
  return stallLimit(rails.size(), pairs, load.messageBytes);
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
  Progress progress(poller, controlFd, stallLimit(rails, load),
                    [&] { return waitingLabels(fencers); });
  while (waiting()) {
    RAILHEAD_TRY(
        progress.wait([&](std::size_t index, const Completion& completion) -> Result<void> {
          --fencers[index].inFlight;
          RAILHEAD_TRY(rails[index]->checkCompletion(completion));
          return fencers[index].post(completion.id);
        }));
  }
  return {};
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
  Progress progress(poller, controlFd, stallLimit(rails, load),
                    [&] { return waitingLabels(movers); });
  while (busy()) {
    round.reset();
    RAILHEAD_TRY(progress.wait(handler));
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
  Progress progress(poller, controlFd, stallLimit({&rail}, load), [&] { return rail.label(); });
  while (inFlight > 0) {
    RAILHEAD_TRY(progress.wait([&](std::size_t, const Completion& completion) {
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
  const auto waiting = [&] {
    std::vector<std::string> labels;
    for (const auto* rail : rails) {
      if (rail->fencesMissing()) labels.push_back(rail->label());
    }
    return join(labels, ", ") + ", waiting for the end of what the peer sends";
  };
  // What is under way is at most the buffer.
  Progress progress(poller, controlFd, stallLimit(rails.size(), 1, rails.front()->bufferBytes()),
                    waiting);
  while (missing()) {
    RAILHEAD_TRY(progress.wait([&](std::size_t index, const Completion& completion) {
      return rails[index]->take(completion);
    }));
  }
  return {};
}

}  // namespace railhead::bench
