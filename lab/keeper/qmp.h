// QEMU's machine protocol, as much of it as a lab needs. Runs on the event loop; not thread-safe.
#pragma once

#include "lab/keeper/stream_channel.h"
#include "src/base/result.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace railhead::lab {

class Qmp {
 public:
  using Answer = std::function<void(Result<void>)>;
  static constexpr std::size_t kMaxLine = 1 << 20;
  static constexpr std::chrono::milliseconds kDeadline{10000};

  // Greets QEMU at once; commands may be given without waiting for it.
  static Result<std::unique_ptr<Qmp>> open(EventLoop& loop, os::UniqueFd fd);
  ~Qmp();

  // Plugs the cable of a NIC in or out. `answer` is called once, from the loop: kUnavailable when
  // QEMU goes first, kDeadlineExceeded when it does not answer.
  void setLink(const std::string& device, bool up, Answer answer);

 private:
  struct Waiting {
    Answer answer;
    EventLoop::Id timer;
  };

  explicit Qmp(EventLoop& loop) : loop_(loop) {}
  void send(const std::string& command, const std::string& argumentsJson, Answer answer);
  void onData(std::string_view bytes);
  void onLine(std::string_view line);
  void settle(std::uint64_t id, Result<void> result);

  EventLoop& loop_;
  std::unique_ptr<StreamChannel> channel_;
  std::string buffer_;
  std::uint64_t nextId_ = 1;
  std::map<std::uint64_t, Waiting> waiting_;
  bool closed_ = false;
};

}  // namespace railhead::lab
