// One link as a machine without a thread: reads frames from its ends' sockets, paces them, loses
// some, and writes them to the other ends. Not thread-safe; Wire drives it.
//
// Nothing is dropped because of the rate. A frame that may not go yet stays in its sender's socket,
// the socket fills, and the sender's NIC waits: the pause that a lossless fabric gives. Frames are
// dropped on a cut link, by the loss that was asked for, and for a receiver that has not taken any
// for kStall (a NIC that is down, a node that hangs): the others must not wait for it for ever.
#pragma once

#include "lab/wire/mac_table.h"
#include "lab/wire/token_bucket.h"
#include "src/base/random.h"
#include "src/os/unique_fd.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace railhead::lab {

// What came from one end.
struct DirectionCounters {
  std::uint64_t frames = 0;   // passed on; a flooded frame counts once
  std::uint64_t bytes = 0;    // of those frames, without wire overhead
  std::uint64_t dropped = 0;  // not passed on; of a flooded frame, once for each end that missed it
};

struct LinkSettings {
  BitRate rate;
  bool cut = false;
  double lossPercent = 0;  // of frames, per direction
};

class Link {
 public:
  using TimePoint = TokenBucket::TimePoint;
  static constexpr std::chrono::milliseconds kStall{200};
  static constexpr std::size_t kMaxFrame = 9216;

  // `ends`: non-blocking datagram sockets, one frame per datagram. The same seed loses the same
  // frames.
  Link(std::string name, LinkSettings settings, std::vector<os::UniqueFd> ends, std::uint64_t seed);

  const std::string& name() const { return name_; }
  const LinkSettings& settings() const { return settings_; }
  void change(const LinkSettings& settings);

  std::size_t endCount() const { return ends_.size(); }
  int endFd(std::size_t end) const { return ends_[end].fd.get(); }
  DirectionCounters counters(std::size_t end) const { return ends_[end].counters; }

  // Moves what may be moved now, a bounded amount.
  void pump(TimePoint now);

  // What to wait for before the next pump(), valid until then.
  bool wantsRead(std::size_t end) const { return ends_[end].waitsForFrame; }
  bool wantsWrite(std::size_t end) const { return ends_[end].waitsForSpace; }
  std::optional<TimePoint> nextDue() const;

 private:
  struct End {
    os::UniqueFd fd;
    TokenBucket in;   // what this end sends into the link
    TokenBucket out;  // what a switch sends to this end
    DirectionCounters counters{};
    std::vector<std::uint8_t> frame{};
    std::uint32_t waitingFor = 0;  // bit per end that still has to get `frame`
    bool passedOn = false;         // at least one end has it
    bool waitsForFrame = false;
    bool waitsForSpace = false;
    bool stalled = false;
    std::optional<TimePoint> fullSince{};
    std::optional<TimePoint> due{};  // when this end's frame may go on
  };

  bool isSwitch() const { return ends_.size() > 2; }
  void pumpEnd(std::size_t index, TimePoint now);
  bool readFrame(std::size_t index, TimePoint now);
  void route(std::size_t index);
  bool deliver(std::size_t index, TimePoint now);
  enum class Sent { kYes, kLater, kDropped };
  Sent sendTo(End& target, const End& source, TimePoint now);
  void postpone(End& end, TimePoint due);
  bool lost();

  std::string name_;
  LinkSettings settings_;
  std::vector<End> ends_;
  MacTable macs_;
  SplitMix random_;
};

}  // namespace railhead::lab
