#include "src/bench/traffic.h"

#include <chrono>
#include <utility>

#include <poll.h>
#include <sched.h>

namespace railhead::bench {
namespace {

using Clock = std::chrono::steady_clock;
using verbs::Completion;
using verbs::CompletionKind;

constexpr std::uint32_t kLast = std::uint32_t{1} << 31;  // in a message: no answer after this one
constexpr int kMaxUnreaped = 2;                          // what every queue pair has room for

bool readable(int fd) {
  pollfd waiting{fd, POLLIN, 0};
  return fd >= 0 && ::poll(&waiting, 1, 0) > 0;
}

// One side of the game: sends words, waits for the peer's words, keeps the send queue clean.
class Player {
 public:
  Player(OpenRail& rail, int controlFd)
      : rail_(rail),
        poller_({&rail.queue()}, {}),
        spins_(verbs::PollPolicy::forDevices({&rail.choice().device}).spin.count() > 0),
        controlFd_(controlFd) {}

  Result<void> send(std::uint32_t word) {
    const auto deadline = Clock::now() + kStallLimit;
    RAILHEAD_TRY(reap());
    while (unreaped_ >= kMaxUnreaped) {
      RAILHEAD_TRY(poller_.wait(deadline, handler()).addContext(rail_.label()));
    }
    RAILHEAD_TRY(rail_.postLatencyWord(word));
    ++unreaped_;
    return {};
  }

  // Polls memory, or completions where memory does not tell, until the peer's message number
  // `expected` is there.
  Result<std::uint32_t> receive(std::uint32_t expected) {
    Clock::time_point nextLook = Clock::now() + kLook;
    const auto deadline = nextLook + kStallLimit;
    for (std::uint32_t turn = 1;; ++turn) {
      if (!rail_.seesWords()) RAILHEAD_TRY(reap());
      const std::uint32_t word = arrived();
      if ((word & ~kLast) == expected) return word;
      // Where one CPU, or a soft device, must make the packets, it gets the CPU at every turn.
      if (!spins_) ::sched_yield();
      if (spins_ && turn % 256 != 0) continue;
      const auto now = Clock::now();
      if (now < nextLook) continue;
      nextLook = now + kLook;
      RAILHEAD_TRY(reap());
      // A peer that is done speaks up after its last word: look once more before believing it left.
      if (readable(controlFd_)) {
        RAILHEAD_TRY(reap());
        if ((arrived() & ~kLast) == expected) continue;
        return Error(ErrorCode::kUnavailable, rail_.label() + ": the peer left during the test");
      }
      if (now >= deadline) {
        return Error(ErrorCode::kCheckFailed,
                     rail_.label() + ": latency message " + std::to_string(expected) +
                         " did not arrive within " + std::to_string(kStallLimit.count()) + " s");
      }
    }
  }

  // One read, from posting to completion.
  Result<void> read() {
    RAILHEAD_TRY(rail_.postLatencyRead());
    ++unreaped_;
    const auto deadline = Clock::now() + kStallLimit;
    for (std::uint32_t turn = 1; unreaped_ > 0; ++turn) {
      RAILHEAD_TRY(reap());
      if (!spins_) ::sched_yield();
      if (spins_ && turn % 256 != 0) continue;
      if (readable(controlFd_) && unreaped_ > 0) {
        return Error(ErrorCode::kUnavailable, rail_.label() + ": the peer left during the test");
      }
      if (Clock::now() >= deadline) {
        return Error(ErrorCode::kCheckFailed, rail_.label() + ": a read did not end within " +
                                                  std::to_string(kStallLimit.count()) + " s");
      }
    }
    return {};
  }

  Result<void> finish() {
    const auto deadline = Clock::now() + kStallLimit;
    while (unreaped_ > 0) {
      RAILHEAD_TRY(poller_.wait(deadline, handler()).addContext(rail_.label()));
    }
    return {};
  }

 private:
  static constexpr auto kLook = std::chrono::milliseconds(20);

  std::uint32_t arrived() const {
    return rail_.seesWords() ? static_cast<std::uint32_t>(rail_.receivedWord()) : arrived_;
  }
  verbs::Poller::Handler handler() {
    return [this](std::size_t, const Completion& completion) -> Result<void> {
      RAILHEAD_TRY(rail_.checkCompletion(completion));
      const bool fromPeer = completion.kind == CompletionKind::kReceive ||
                            completion.kind == CompletionKind::kReceiveImmediate;
      if (!fromPeer) --unreaped_;
      if (fromPeer) arrived_ = completion.immediate.value_or(0);
      return {};
    };
  }
  Result<void> reap() {
    RAILHEAD_TRY(poller_.drain(handler()));
    return {};
  }

  OpenRail& rail_;
  verbs::Poller poller_;
  bool spins_;
  int controlFd_;
  int unreaped_ = 0;
  std::uint32_t arrived_ = 0;  // the immediate of the last message
};

// Decides when there are enough samples.
class Series {
 public:
  explicit Series(const VerbsPlan& plan)
      : end_(Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                std::chrono::duration<double>(plan.latencySeconds))),
        most_(static_cast<std::size_t>(plan.latencySamples)) {}
  bool nextIsLast() const {
    const bool enough = samples_.size() >= VerbsPlan::kMinLatencySamples && Clock::now() >= end_;
    return enough || samples_.size() + 1 >= most_;
  }
  void add(double microseconds) { samples_.push_back(microseconds); }
  std::vector<double> samples() && { return std::move(samples_); }

 private:
  Clock::time_point end_;
  std::size_t most_;
  std::vector<double> samples_;
};

double microsecondsSince(Clock::time_point start) {
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

}  // namespace

Result<std::vector<double>> pingPong(OpenRail& rail, const VerbsPlan& plan, int controlFd) {
  Player player(rail, controlFd);
  Series series(plan);
  // The first round trip warms caches and is not counted.
  for (std::uint32_t number = 1;; ++number) {
    const bool last = series.nextIsLast();
    RAILHEAD_TRY(rail.expectLatencyWord());
    const auto sent = Clock::now();
    RAILHEAD_TRY(player.send(last ? number | kLast : number));
    RAILHEAD_TRY(player.receive(number));
    if (number > 1) series.add(microsecondsSince(sent) / 2);
    if (last) break;
  }
  RAILHEAD_TRY(player.finish());
  return std::move(series).samples();
}

Result<void> echo(OpenRail& rail, int controlFd, const std::function<Result<void>()>& ready) {
  Player player(rail, controlFd);
  RAILHEAD_TRY(rail.expectLatencyWord());
  RAILHEAD_TRY(ready());
  for (std::uint32_t number = 1;; ++number) {
    RAILHEAD_TRY_ASSIGN(const std::uint32_t word, player.receive(number));
    const bool last = (word & kLast) != 0;
    if (!last) RAILHEAD_TRY(rail.expectLatencyWord());
    RAILHEAD_TRY(player.send(word));
    if (last) return player.finish();
  }
}

Result<std::vector<double>> readAlone(OpenRail& rail, const VerbsPlan& plan, int controlFd) {
  Player player(rail, controlFd);
  Series series(plan);
  for (bool warm = false, last = false; !last; warm = true) {
    last = series.nextIsLast();
    const auto posted = Clock::now();
    RAILHEAD_TRY(player.read());
    if (warm) series.add(microsecondsSince(posted));
  }
  return std::move(series).samples();
}

}  // namespace railhead::bench
