#include "src/bench/traffic.h"

#include <chrono>

#include <poll.h>
#include <sched.h>

namespace railhead::bench {
namespace {

using Clock = std::chrono::steady_clock;
using verbs::Completion;

constexpr std::uint64_t kLast = std::uint64_t{1} << 63;  // in a message: no answer after this one
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

  Result<void> send(std::uint64_t word) {
    const auto deadline = Clock::now() + kStallLimit;
    RAILHEAD_TRY(reap());
    while (unreaped_ >= kMaxUnreaped) {
      RAILHEAD_TRY(poller_.wait(deadline, handler()).addContext(rail_.label()));
    }
    RAILHEAD_TRY(rail_.postLatencyWord(word));
    ++unreaped_;
    return {};
  }

  // Polls memory until the peer's message number `expected` is there.
  Result<std::uint64_t> receive(std::uint64_t expected) {
    Clock::time_point nextLook = Clock::now() + kLook;
    const auto deadline = nextLook + kStallLimit;
    for (std::uint32_t turn = 1;; ++turn) {
      const std::uint64_t word = rail_.receivedWord();
      if ((word & ~kLast) == expected) return word;
      // Where one CPU, or a soft device, must make the packets, it gets the CPU at every turn.
      if (!spins_) ::sched_yield();
      if (spins_ && turn % 256 != 0) continue;
      const auto now = Clock::now();
      if (now < nextLook) continue;
      nextLook = now + kLook;
      RAILHEAD_TRY(reap());
      // A peer that is done speaks up after its last word: look once more before believing it left.
      if (readable(controlFd_) && (rail_.receivedWord() & ~kLast) != expected) {
        return Error(ErrorCode::kUnavailable, rail_.label() + ": the peer left during the test");
      }
      if (now >= deadline) {
        return Error(ErrorCode::kCheckFailed,
                     rail_.label() + ": latency message " + std::to_string(expected) +
                         " did not arrive within " + std::to_string(kStallLimit.count()) + " s");
      }
    }
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

  verbs::Poller::Handler handler() {
    return [this](std::size_t, const Completion& completion) {
      --unreaped_;
      return rail_.checkCompletion(completion);
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
};

}  // namespace

Result<std::vector<double>> pingPong(OpenRail& rail, const VerbsPlan& plan, int controlFd) {
  Player player(rail, controlFd);
  std::vector<double> samples;
  const auto end = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                      std::chrono::duration<double>(plan.latencySeconds));
  // The first round trip warms caches and is not counted.
  for (std::uint64_t number = 1;; ++number) {
    const auto taken = static_cast<int>(samples.size());
    const bool enough = taken >= VerbsPlan::kMinLatencySamples && Clock::now() >= end;
    const bool last = enough || taken + 1 >= plan.latencySamples;
    const auto sent = Clock::now();
    RAILHEAD_TRY(player.send(last ? number | kLast : number));
    RAILHEAD_TRY(player.receive(number));
    const auto trip = std::chrono::duration<double, std::micro>(Clock::now() - sent).count();
    if (number > 1) samples.push_back(trip / 2);
    if (last) break;
  }
  RAILHEAD_TRY(player.finish());
  return samples;
}

Result<void> echo(OpenRail& rail, int controlFd) {
  Player player(rail, controlFd);
  for (std::uint64_t number = 1;; ++number) {
    RAILHEAD_TRY_ASSIGN(const std::uint64_t word, player.receive(number));
    RAILHEAD_TRY(player.send(word));
    if ((word & kLast) != 0) return player.finish();
  }
}

}  // namespace railhead::bench
