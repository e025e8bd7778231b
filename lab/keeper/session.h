// One client's connection to the keeper: one request, its answer, and the streams of an exec.
#pragma once

#include "lab/keeper/event_loop.h"
#include "lab/keeper/keeper_messages.h"
#include "lab/keeper/lab.h"
#include "lab/keeper/stream_channel.h"
#include "lab/protocol/frame.h"
#include "src/base/result.h"
#include "src/os/unique_fd.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace railhead::lab {

class Session {
 public:
  struct Events {
    std::function<void()> closed;  // may destroy the session
    std::function<void()> down;    // the client wants the lab to end; lastAnswer() follows
  };
  static constexpr std::chrono::seconds kRequestDeadline{10};
  // A client that does not read holds up nobody else: with more than this waiting it is cut off.
  static constexpr std::size_t kMaxUnread = 32 << 20;

  // `lab` outlives the session.
  static Result<std::unique_ptr<Session>> open(EventLoop& loop, os::UniqueFd fd, Lab& lab,
                                               Events events);
  ~Session();

  // The node takes input again.
  void resume(const NodeProcess& node);
  // The lab goes, and no call into it is made after this. `why` is for those who did not ask for
  // it.
  void lastAnswer(const Error& why);
  bool askedDown() const { return askedDown_; }

 private:
  Session(EventLoop& loop, Lab& lab, Events events)
      : loop_(loop), lab_(&lab), events_(std::move(events)) {}
  void onData(std::string_view bytes);
  void onRequest(std::string_view json);
  void startExec(const KeeperRequest& request);
  void onNodeFrame(const Frame& frame);
  void onClientFrames();
  void answer(const KeeperAnswer& answer);
  void refuse(const Error& error);
  void leave();  // ends the exec that still runs
  void tellClosed();

  EventLoop& loop_;
  Lab* lab_;
  Events events_;
  std::unique_ptr<StreamChannel> channel_;
  EventLoop::Id deadline_ = 0;
  std::string request_;  // bytes of it so far
  bool answered_ = false;
  bool asked_ = false;
  bool askedDown_ = false;
  FrameDecoder decoder_;
  NodeProcess* node_ = nullptr;  // while an exec runs
  std::uint32_t stream_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace railhead::lab
