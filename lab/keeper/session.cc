#include "lab/keeper/session.h"

#include "lab/keeper/message_frame.h"

#include <csignal>
#include <utility>

namespace railhead::lab {

Result<std::unique_ptr<Session>> Session::open(EventLoop& loop, os::UniqueFd fd, Lab& lab,
                                               Events events) {
  std::unique_ptr<Session> session(new Session(loop, lab, std::move(events)));
  Session* raw = session.get();
  StreamChannel::Events channelEvents;
  channelEvents.data = [raw](std::string_view bytes) { raw->onData(bytes); };
  channelEvents.closed = [raw] {
    raw->leave();
    raw->tellClosed();
  };
  RAILHEAD_TRY_ASSIGN(session->channel_,
                      StreamChannel::open(loop, std::move(fd), std::move(channelEvents)));
  session->deadline_ = loop.after(kRequestDeadline, [raw] {
    raw->refuse(Error(ErrorCode::kDeadlineExceeded, "no request came"));
  });
  return session;
}

Session::~Session() {
  *alive_ = false;
  loop_.cancel(deadline_);
  leave();
}

// Whoever is told destroys this session, and what it is told by stays until then.
void Session::tellClosed() {
  const auto closed = std::exchange(events_.closed, nullptr);
  if (closed) closed();
}

void Session::leave() {
  if (node_ != nullptr) node_->abandon(stream_);
  node_ = nullptr;
}

void Session::onData(std::string_view bytes) {
  if (node_ != nullptr) {
    decoder_.feed(bytes);
    return onClientFrames();
  }
  if (asked_) return;  // nothing more is expected
  request_.append(bytes);
  if (request_.size() < kMessageHeader) return;
  const std::size_t length = lengthAt(request_);
  if (length > kMaxMessage) {
    return refuse(Error(ErrorCode::kInvalidArgument, "request is larger than allowed"));
  }
  if (request_.size() < kMessageHeader + length) return;
  asked_ = true;
  loop_.cancel(deadline_);
  const std::string request = std::move(request_);
  const std::string_view whole(request);
  decoder_.feed(whole.substr(kMessageHeader + length));
  onRequest(whole.substr(kMessageHeader, length));
  if (node_ != nullptr) onClientFrames();
}

void Session::onRequest(std::string_view json) {
  auto request = KeeperRequest::parse(json);
  if (!request) return refuse(request.error());
  KeeperAnswer reply;
  switch (request->operation) {
    case Operation::kStatus:
      reply.status = lab_->status();
      return answer(reply);
    case Operation::kLogs: {
      const auto node = lab_->node(request->node);
      if (!node) return refuse(node.error());
      reply.text = (*node)->console().tail(request->bytes);
      return answer(reply);
    }
    case Operation::kWaitUp:
      return lab_->whenUp([this, alive = alive_, reply] {
        if (*alive) answer(reply);
      });
    case Operation::kLink:
      return lab_->changeLink(request->link, request->change,
                              [this, alive = alive_](const Result<LinkStatus>& status) {
                                if (!*alive) return;
                                if (!status) return refuse(status.error());
                                KeeperAnswer changed;
                                changed.link = *status;
                                answer(changed);
                              });
    case Operation::kExec:
      return startExec(*request);
    case Operation::kDown:
      askedDown_ = true;
      return events_.down();
  }
}

void Session::startExec(const KeeperRequest& request) {
  const auto node = lab_->node(request.node);
  if (!node) return refuse(node.error());
  const auto stream =
      (*node)->exec(request.exec, [this](const Frame& frame) { onNodeFrame(frame); });
  if (!stream) return refuse(stream.error());
  node_ = *node;
  stream_ = *stream;
  channel_->write(withLength(KeeperAnswer().encode()));
}

void Session::onNodeFrame(const Frame& frame) {
  channel_->write(encodeFrame(frame));
  if (frame.type == FrameType::kExit || frame.type == FrameType::kRefused) {
    node_ = nullptr;
    channel_->finish();
  } else if (channel_->queued() > kMaxUnread) {
    leave();
    // What is queued is given up; the channel closes from the loop, not from under the node.
    loop_.after(std::chrono::milliseconds(0), [this, alive = alive_] {
      if (*alive) tellClosed();
    });
  }
}

void Session::onClientFrames() {
  while (node_ != nullptr) {
    auto frame = decoder_.next();
    if (!frame) {
      leave();
      return channel_->finish();
    }
    if (!*frame) break;
    const FrameType type = (*frame)->type;
    if (type == FrameType::kStdin || type == FrameType::kStdinEnd || type == FrameType::kSignal) {
      node_->send(stream_, type, (*frame)->payload);
    }
  }
  if (node_ != nullptr && node_->backlog() > StreamChannel::kHighWater) channel_->setReading(false);
}

void Session::resume(const NodeProcess& node) {
  if (node_ == &node) channel_->setReading(true);
}

void Session::answer(const KeeperAnswer& answer) {
  if (answered_) return;
  answered_ = true;
  channel_->write(withLength(answer.encode()));
  channel_->finish();
}

void Session::refuse(const Error& error) {
  KeeperAnswer reply;
  reply.error = error;
  answer(reply);
}

void Session::lastAnswer(const Error& why) {
  lab_ = nullptr;
  if (node_ != nullptr) {  // in the middle of an exec
    node_ = nullptr;
    channel_->write(encodeFrame(FrameType::kRefused, stream_, why.message));
    channel_->finish();
  } else if (askedDown_) {
    answer(KeeperAnswer());
  } else {
    refuse(why);
  }
}

}  // namespace railhead::lab
