// The guest's end of the control channel: programs started, fed, signalled and reported over one
// connection. One thread: call serve() until it says how the node must end.
#pragma once

#include "lab/guest/child.h"
#include "lab/protocol/frame.h"
#include "lab/protocol/messages.h"
#include "src/base/result.h"
#include "src/os/unique_fd.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

namespace railhead::lab {

enum class NodeEnd { kPowerOff, kReboot };

struct StreamServerOptions {
  ReadyMessage ready;
  // Called for each thing worth a line in the node's log.
  std::function<void(const std::string&)> log = [](const std::string&) {};
  // The port can lose and regain its peer (virtio-serial); false: a hang-up ends serve().
  bool portReopens = true;
  // How long a program's open output is still read after the program itself ended: a grandchild may
  // hold it for ever.
  std::chrono::milliseconds lingering{300};
};

class StreamServer {
 public:
  // `port`: the control port, non-blocking. `signals`: a signalfd for SIGCHLD (and, in PID 1, the
  // signals that mean power-off), non-blocking.
  StreamServer(os::UniqueFd port, os::UniqueFd signals, StreamServerOptions options);
  ~StreamServer();  // kills what still runs
  StreamServer(const StreamServer&) = delete;
  StreamServer& operator=(const StreamServer&) = delete;

  // Sends kReady, then serves until the node must end, or, with portReopens off, the peer hung up
  // (nullopt). An Error means the event loop itself broke.
  Result<std::optional<NodeEnd>> serve();

 private:
  using TimePoint = std::chrono::steady_clock::time_point;
  struct Stream {
    Child child;
    std::string pendingInput;
    bool inputEnded = false;
    std::optional<ExitMessage> ended;
    TimePoint lingerUntil{};
  };
  using Streams = std::map<std::uint32_t, Stream>;

  Result<void> waitAndHandle();
  void readPort();
  void writePort();
  void portClosed();
  void handle(const Frame& frame);
  void startProgram(std::uint32_t id, const std::string& payload);
  void takeInput(std::uint32_t id, const Frame& frame);
  void passInput(Stream& stream);
  void passOutput(std::uint32_t id, os::UniqueFd& fd, FrameType type);
  void drain(std::uint32_t id, Stream& stream);
  void readSignals();
  void reapChildren();
  void finishEnded();
  void killAll();
  void orderEnd(NodeEnd end);
  void refuse(std::uint32_t id, const Error& error);
  void send(FrameType type, std::uint32_t id, std::string_view payload);
  int waitMilliseconds() const;

  os::UniqueFd port_;
  os::UniqueFd signals_;
  StreamServerOptions options_;
  FrameDecoder decoder_;
  std::string outgoing_;
  bool connected_ = true;
  bool hungUp_ = false;
  bool readyDelivered_ = false;  // a port without a peer at start still gets it, once
  Streams streams_;
  std::optional<NodeEnd> end_;
  TimePoint endDeadline_{};  // by when the last frames must have been taken by the host
};

}  // namespace railhead::lab
