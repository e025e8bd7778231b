// One end of a byte stream on the event loop: reads as data comes, writes as the peer takes it.
#pragma once

#include "lab/keeper/event_loop.h"
#include "src/base/result.h"
#include "src/os/unique_fd.h"

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace railhead::lab {

class StreamChannel {
 public:
  struct Events {
    std::function<void(std::string_view)> data;
    std::function<void()> closed;   // once, when the peer is gone; may destroy the channel
    std::function<void()> drained;  // queued() went down to kLowWater; may be empty
  };
  static constexpr std::size_t kHighWater = 1 << 20;
  static constexpr std::size_t kLowWater = 256 << 10;

  // `loop` outlives the channel.
  static Result<std::unique_ptr<StreamChannel>> open(EventLoop& loop, os::UniqueFd fd,
                                                     Events events);
  ~StreamChannel();
  StreamChannel(const StreamChannel&) = delete;
  StreamChannel& operator=(const StreamChannel&) = delete;

  // Queues what the peer does not take at once; nothing when it is gone. Never calls back.
  void write(std::string_view bytes);
  std::size_t queued() const { return out_.size() - written_; }
  void setReading(bool on);
  // Reads what is there now, without waiting for the loop.
  void catchUp();
  // After everything queued is written, `closed` is called.
  void finish();

 private:
  StreamChannel(EventLoop& loop, os::UniqueFd fd, Events events)
      : loop_(loop), fd_(std::move(fd)), events_(std::move(events)) {}
  void onReady(std::uint32_t epollEvents);
  enum class Read { kSome, kNothing, kClosed };
  Read readSome();  // after kClosed this object may be gone
  void flush();
  void updateWatch();
  void close();

  EventLoop& loop_;
  os::UniqueFd fd_;
  Events events_;
  EventLoop::Id watch_ = 0;
  std::string out_;
  std::size_t written_ = 0;  // of out_
  bool reading_ = true;
  bool broken_ = false;
  bool finishing_ = false;
  bool aboveLowWater_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace railhead::lab
