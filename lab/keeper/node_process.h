// One running node as the keeper holds it: QEMU and its three channels. Not thread-safe.
#pragma once

#include "lab/keeper/console_log.h"
#include "lab/keeper/event_loop.h"
#include "lab/keeper/lab_status.h"
#include "lab/keeper/qmp.h"
#include "lab/keeper/stream_channel.h"
#include "lab/node/lab_image.h"
#include "lab/node/qemu_command.h"
#include "lab/protocol/frame.h"
#include "lab/protocol/messages.h"
#include "lab/topology/topology.h"
#include "src/base/result.h"
#include "src/os/bound_process.h"
#include "src/os/unique_fd.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace railhead::lab {

class NodeProcess {
 public:
  struct Events {
    std::function<void()> ready;    // once
    std::function<void()> died;     // once; problem() says how
    std::function<void()> drained;  // the control channel takes data again, see backlog()
  };
  // Gets every frame of its stream; kExit and kRefused are the last. A node that dies sends
  // kRefused.
  using StreamHandler = std::function<void(const Frame&)>;

  // `pfSockets`: one for each PF, closed ones where nothing is plugged in. `spec` and `loop`
  // outlive the node.
  // `lab` is the lab's name, for remedies.
  static Result<std::unique_ptr<NodeProcess>> start(EventLoop& loop, std::string lab,
                                                    const NodeSpec& spec, const LabImage& image,
                                                    const QemuSettings& settings,
                                                    const std::string& nullDevice,
                                                    std::vector<os::UniqueFd> pfSockets,
                                                    Events events);
  ~NodeProcess();  // kills QEMU

  const NodeSpec& spec() const { return spec_; }
  NodeState state() const { return state_; }
  // How it died, with the few lines that tell why.
  const std::string& problem() const { return problem_; }
  std::string remedy() const;  // for a dead node: where the rest is to read, and how to go on
  const ConsoleLog& console() const { return console_; }
  NodeStatus status() const;  // without its links

  // Starts a program. Frames come from the loop, never before this returns.
  Result<std::uint32_t> exec(const ExecRequest& request, StreamHandler handler);
  void send(std::uint32_t stream, FrameType type, std::string_view payload);
  bool hasStream(std::uint32_t stream) const { return streams_.count(stream) != 0; }
  // Ends a program that nobody listens to any more: SIGTERM, after kGrace SIGKILL.
  static constexpr std::chrono::milliseconds kGrace{2000};
  void abandon(std::uint32_t stream);
  std::size_t backlog() const { return control_->queued(); }

  // Plugs the cable of a PF in or out. `answer` is called once from the loop.
  void setCarrier(std::size_t pf, bool up, Qmp::Answer answer);

 private:
  NodeProcess(EventLoop& loop, std::string lab, const NodeSpec& spec, Events events);
  Result<void> open(const LabImage& image, const QemuSettings& settings,
                    const std::string& nullDevice, std::vector<os::UniqueFd> pfSockets);
  Result<std::unique_ptr<StreamChannel>> listenTo(os::UniqueFd fd, ConsoleLog& log);
  void onControl(std::string_view bytes);
  void onFrame(const Frame& frame);
  void onEnd();
  void die(const std::string& why);
  double secondsSinceStart() const;

  EventLoop& loop_;
  std::string lab_;
  const NodeSpec& spec_;
  Events events_;
  std::optional<os::BoundProcess> process_;
  EventLoop::Id processWatch_ = 0;
  std::unique_ptr<Qmp> qmp_;
  std::unique_ptr<StreamChannel> consoleChannel_;
  std::unique_ptr<StreamChannel> outputChannel_;  // what QEMU itself prints
  std::unique_ptr<StreamChannel> control_;
  FrameDecoder decoder_;
  ConsoleLog console_;
  ConsoleLog output_{4096};
  std::map<std::uint32_t, StreamHandler> streams_;
  std::map<std::uint32_t, EventLoop::Id> graceTimers_;  // of abandoned streams
  std::uint32_t nextStream_ = 1;
  std::chrono::steady_clock::time_point started_;
  NodeState state_ = NodeState::kBooting;
  ReadyMessage ready_;
  double readySeconds_ = 0;
  std::string problem_;
};

}  // namespace railhead::lab
