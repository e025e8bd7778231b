#include "lab/wire/link.h"

#include <algorithm>
#include <bit>
#include <cerrno>

#include <sys/socket.h>

namespace railhead::lab {
namespace {

constexpr std::size_t kEthernetHeader = 14;
constexpr int kFramesPerPump = 64;

// A link that is at its rate wakes up for several frames at once, not for each: on a small machine
// the nodes need the CPU. The burst makes up for it, and a link that is not full delays nothing.
constexpr std::chrono::microseconds kBatch{1000};

// Long enough to make up for a thread that was woken late on a busy machine, and never less than a
// few of the largest frames; far below what a measurement of seconds could see.
TokenBucket::Duration burstFor(BitRate rate) {
  const double fourFrames = 4.0 * Link::kMaxFrame * 8 / rate.bitsPerSecond;
  return std::chrono::duration_cast<TokenBucket::Duration>(
      std::chrono::duration<double>(std::max(0.004, fourFrames)));
}

Mac macAt(const std::vector<std::uint8_t>& frame, std::size_t offset) {
  Mac mac;
  std::copy_n(frame.begin() + static_cast<std::ptrdiff_t>(offset), mac.bytes.size(),
              mac.bytes.begin());
  return mac;
}

}  // namespace

Link::Link(std::string name, LinkSettings settings, std::vector<os::UniqueFd> ends,
           std::uint64_t seed)
    : name_(std::move(name)), settings_(settings), random_(seed) {
  for (auto& fd : ends) {
    const TokenBucket bucket(settings.rate, burstFor(settings.rate));
    ends_.push_back(End{std::move(fd), bucket, bucket});
  }
}

void Link::change(const LinkSettings& settings) {
  if (settings.rate.bitsPerSecond != settings_.rate.bitsPerSecond) {
    for (End& end : ends_) {
      end.in = TokenBucket(settings.rate, burstFor(settings.rate));
      end.out = end.in;
    }
  }
  if (settings.cut != settings_.cut)
    macs_ = MacTable();  // whoever is plugged in next is learnt anew
  settings_ = settings;
}

void Link::pump(TimePoint now) {
  for (End& end : ends_) {
    end.waitsForSpace = false;
    end.due.reset();
  }
  for (std::size_t i = 0; i < ends_.size(); ++i) pumpEnd(i, now);
}

std::optional<Link::TimePoint> Link::nextDue() const {
  std::optional<TimePoint> earliest;
  for (const End& end : ends_) {
    if (end.due && (!earliest || *end.due < *earliest)) earliest = end.due;
  }
  return earliest;
}

void Link::pumpEnd(std::size_t index, TimePoint now) {
  End& end = ends_[index];
  end.waitsForFrame = false;
  for (int i = 0; i < kFramesPerPump; ++i) {
    if (end.waitingFor != 0 && !deliver(index, now)) return;
    if (!settings_.cut && end.in.readyAt() > now) return postpone(end, end.in.readyAt() + kBatch);
    if (!readFrame(index, now)) {
      end.waitsForFrame = true;
      return;
    }
  }
  end.waitsForFrame = true;  // the socket still has some: the next wait returns at once
}

bool Link::readFrame(std::size_t index, TimePoint now) {
  End& end = ends_[index];
  end.frame.resize(kMaxFrame + 1);
  const ssize_t length = ::recv(end.fd.get(), end.frame.data(), end.frame.size(), MSG_DONTWAIT);
  if (length < 0) return errno == EINTR;
  end.frame.resize(static_cast<std::size_t>(length));
  const bool malformed = end.frame.size() < kEthernetHeader || end.frame.size() > kMaxFrame;
  if (!malformed && !settings_.cut) end.in.take(end.frame.size(), now);
  if (malformed || settings_.cut || lost()) {
    ++end.counters.dropped;
    return true;
  }
  route(index);
  return true;
}

void Link::route(std::size_t index) {
  End& end = ends_[index];
  const std::uint32_t others = ((1U << ends_.size()) - 1) & ~(1U << index);
  end.waitingFor = others;
  end.passedOn = false;
  if (!isSwitch()) return;
  macs_.learn(macAt(end.frame, 6), index);
  const auto port = macs_.find(macAt(end.frame, 0));
  if (!port) return;
  // A frame for an address behind its own port has arrived already.
  end.waitingFor = *port == index ? 0 : 1U << *port;
}

// True when every receiver has the frame or has been given up on.
bool Link::deliver(std::size_t index, TimePoint now) {
  End& end = ends_[index];
  if (settings_.cut) {
    end.waitingFor = 0;
    ++end.counters.dropped;
    return true;
  }
  for (std::uint32_t left = end.waitingFor; left != 0; left &= left - 1) {
    const auto targetIndex = static_cast<std::size_t>(std::countr_zero(left));
    End& target = ends_[targetIndex];
    if (isSwitch() && target.out.readyAt() > now && !target.stalled) {
      postpone(end, target.out.readyAt() + kBatch);
      continue;
    }
    const Sent sent = sendTo(target, end, now);
    if (sent == Sent::kLater) {
      postpone(end, *target.fullSince + kStall);
      continue;
    }
    if (sent == Sent::kYes) {
      end.passedOn = true;
      if (isSwitch()) target.out.take(end.frame.size(), now);
    } else {
      ++end.counters.dropped;
    }
    end.waitingFor &= ~(1U << targetIndex);
  }
  if (end.waitingFor != 0) return false;
  if (end.passedOn) {
    ++end.counters.frames;
    end.counters.bytes += end.frame.size();
  }
  return true;
}

Link::Sent Link::sendTo(End& target, const End& source, TimePoint now) {
  for (int attempt = 0; attempt < 3; ++attempt) {
    const ssize_t length = ::send(target.fd.get(), source.frame.data(), source.frame.size(),
                                  MSG_DONTWAIT | MSG_NOSIGNAL);
    if (length >= 0) {
      target.stalled = false;
      target.fullSince.reset();
      return Sent::kYes;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != ENOBUFS) return Sent::kDropped;  // nobody is there any more
    break;
  }
  if (!target.fullSince) target.fullSince = now;
  if (target.stalled || now - *target.fullSince >= kStall) {
    target.stalled = true;
    return Sent::kDropped;
  }
  target.waitsForSpace = true;
  return Sent::kLater;
}

void Link::postpone(End& end, TimePoint due) {
  if (!end.due || due < *end.due) end.due = due;
}

bool Link::lost() {
  if (settings_.lossPercent <= 0) return false;
  const double draw = static_cast<double>(random_.next() >> 11) / 9007199254740992.0;  // 2^53
  return draw * 100 < settings_.lossPercent;
}

}  // namespace railhead::lab
