#include "lab/keeper/stream_channel.h"

#include <array>
#include <cerrno>

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>

namespace railhead::lab {

Result<std::unique_ptr<StreamChannel>> StreamChannel::open(EventLoop& loop, os::UniqueFd fd,
                                                           Events events) {
  const int flags = ::fcntl(fd.get(), F_GETFL);
  if (flags < 0 || ::fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK) != 0) {
    return Error::fromErrno(errno, "prepare a channel");
  }
  std::unique_ptr<StreamChannel> channel(new StreamChannel(loop, std::move(fd), std::move(events)));
  RAILHEAD_TRY_ASSIGN(channel->watch_,
                      loop.watch(channel->fd_.get(), EPOLLIN,
                                 [raw = channel.get()](auto ready) { raw->onReady(ready); }));
  return channel;
}

StreamChannel::~StreamChannel() {
  *alive_ = false;
  loop_.forget(watch_);
}

void StreamChannel::write(std::string_view bytes) {
  if (broken_ || bytes.empty()) return;
  out_.append(bytes);
  flush();
  updateWatch();
}

void StreamChannel::flush() {
  while (queued() > 0 && !broken_) {
    const ssize_t sent =
        ::send(fd_.get(), out_.data() + written_, queued(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) {
      written_ += static_cast<std::size_t>(sent);
    } else if (errno == EAGAIN) {
      break;
    } else if (errno != EINTR) {
      broken_ = true;  // the loop reports the hang-up
    }
  }
  if (queued() == 0 || broken_) {
    out_.clear();
    written_ = 0;
  } else if (written_ > kHighWater) {
    out_.erase(0, written_);
    written_ = 0;
  }
  if (queued() > kLowWater) aboveLowWater_ = true;
}

void StreamChannel::setReading(bool on) {
  reading_ = on;
  updateWatch();
}

void StreamChannel::finish() {
  finishing_ = true;
  updateWatch();
}

void StreamChannel::updateWatch() {
  // A finished channel with nothing left wakes up once more, to close outside the caller's stack.
  const bool out = queued() > 0 || finishing_;
  loop_.change(watch_, (reading_ ? EPOLLIN : 0U) | (out ? EPOLLOUT : 0U));
}

void StreamChannel::onReady(std::uint32_t epollEvents) {
  if ((epollEvents & EPOLLOUT) != 0) {
    flush();
    if (finishing_ && queued() == 0) return close();
    updateWatch();
    if (aboveLowWater_ && queued() <= kLowWater) {
      aboveLowWater_ = false;
      const auto alive = alive_;
      if (events_.drained) events_.drained();
      if (!*alive) return;
    }
  }
  const bool hungUp = (epollEvents & (EPOLLHUP | EPOLLERR)) != 0;
  if ((epollEvents & EPOLLIN) != 0 && reading_) {
    readSome();
  } else if (hungUp) {
    close();
  }
}

StreamChannel::Read StreamChannel::readSome() {
  std::array<char, 65536> chunk;
  const ssize_t got = ::read(fd_.get(), chunk.data(), chunk.size());
  if (got < 0 && errno == EINTR) return Read::kSome;
  if (got < 0 && errno == EAGAIN) return Read::kNothing;
  if (got <= 0) {
    close();
    return Read::kClosed;
  }
  const auto alive = alive_;
  events_.data(std::string_view(chunk.data(), static_cast<std::size_t>(got)));
  return *alive ? Read::kSome : Read::kClosed;
}

void StreamChannel::catchUp() {
  if (watch_ == 0) return;  // closed already
  while (readSome() == Read::kSome) {
  }
}

void StreamChannel::close() {
  loop_.forget(watch_);
  watch_ = 0;
  broken_ = true;
  const auto closed = std::move(events_.closed);
  events_.closed = nullptr;
  if (closed) closed();  // may destroy this object
}

}  // namespace railhead::lab
