#include "lab/keeper/node_process.h"

#include "lab/keeper/lab_socket.h"
#include "src/base/text.h"

#include <array>
#include <cerrno>
#include <csignal>

#include <sys/epoll.h>
#include <sys/socket.h>

namespace railhead::lab {
namespace {

constexpr std::size_t kProblemLines = 3;

struct SocketPair {
  os::UniqueFd keeper;
  os::UniqueFd node;
};

Result<SocketPair> makeSocketPair() {
  std::array<int, 2> fds{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()) != 0) {
    return Error::fromErrno(errno, "make a socket pair");
  }
  return SocketPair{os::UniqueFd(fds[0]), os::UniqueFd(fds[1])};
}

}  // namespace

NodeProcess::NodeProcess(EventLoop& loop, std::string lab, const NodeSpec& spec, Events events)
    : loop_(loop),
      lab_(std::move(lab)),
      spec_(spec),
      events_(std::move(events)),
      started_(std::chrono::steady_clock::now()) {}

NodeProcess::~NodeProcess() {
  loop_.forget(processWatch_);
  for (const auto& [stream, timer] : graceTimers_) loop_.cancel(timer);
}

Result<std::unique_ptr<NodeProcess>> NodeProcess::start(EventLoop& loop, std::string lab,
                                                        const NodeSpec& spec, const LabImage& image,
                                                        const QemuSettings& settings,
                                                        const std::string& nullDevice,
                                                        std::vector<os::UniqueFd> pfSockets,
                                                        Events events) {
  std::unique_ptr<NodeProcess> node(new NodeProcess(loop, std::move(lab), spec, std::move(events)));
  RAILHEAD_TRY(node->open(image, settings, nullDevice, std::move(pfSockets))
                   .addContext("start node " + spec.name));
  return node;
}

Result<void> NodeProcess::open(const LabImage& image, const QemuSettings& settings,
                               const std::string& nullDevice, std::vector<os::UniqueFd> pfSockets) {
  RAILHEAD_TRY_ASSIGN(SocketPair qmp, makeSocketPair());
  RAILHEAD_TRY_ASSIGN(SocketPair console, makeSocketPair());
  RAILHEAD_TRY_ASSIGN(SocketPair control, makeSocketPair());
  RAILHEAD_TRY_ASSIGN(SocketPair output, makeSocketPair());
  NodeSockets sockets{qmp.node.get(), console.node.get(), control.node.get(), {}};
  os::BoundProcessSpec spec;
  spec.inherited = {sockets.qmp, sockets.console, sockets.control};
  for (const auto& fd : pfSockets) {
    sockets.pfs.push_back(fd.get());
    if (fd) spec.inherited.push_back(fd.get());
  }
  spec.argv = qemuCommand(spec_, image, settings, sockets);
  spec.output = output.node.get();
  RAILHEAD_TRY_ASSIGN(process_, os::BoundProcess::start(spec, nullDevice));

  RAILHEAD_TRY_ASSIGN(qmp_, Qmp::open(loop_, std::move(qmp.keeper)));
  RAILHEAD_TRY_ASSIGN(consoleChannel_, listenTo(std::move(console.keeper), console_));
  RAILHEAD_TRY_ASSIGN(outputChannel_, listenTo(std::move(output.keeper), output_));
  StreamChannel::Events events;
  events.data = [this](std::string_view bytes) { onControl(bytes); };
  events.drained = [this] {
    if (events_.drained) events_.drained();
  };
  RAILHEAD_TRY_ASSIGN(control_,
                      StreamChannel::open(loop_, std::move(control.keeper), std::move(events)));
  RAILHEAD_TRY_ASSIGN(processWatch_,
                      loop_.watch(process_->pidFd(), EPOLLIN, [this](auto) { onEnd(); }));
  for (std::size_t pf = 0; pf < spec_.pfs.size(); ++pf) {
    if (!pfSockets[pf]) qmp_->setLink(pfDeviceId(pf), false, [](const Result<void>&) {});
  }
  return {};
}

Result<std::unique_ptr<StreamChannel>> NodeProcess::listenTo(os::UniqueFd fd, ConsoleLog& log) {
  StreamChannel::Events events;
  events.data = [&log](std::string_view bytes) { log.append(bytes); };
  return StreamChannel::open(loop_, std::move(fd), std::move(events));
}

double NodeProcess::secondsSinceStart() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count();
}

void NodeProcess::onControl(std::string_view bytes) {
  decoder_.feed(bytes);
  while (state_ != NodeState::kDead) {
    auto frame = decoder_.next();
    if (!frame) return die("its control channel sent " + frame.error().message);
    if (!*frame) return;
    onFrame(**frame);
  }
}

void NodeProcess::onFrame(const Frame& frame) {
  if (frame.type == FrameType::kReady) {
    auto message = ReadyMessage::parse(frame.payload);
    if (!message) return die("its control channel sent " + message.error().message);
    ready_ = std::move(*message);
    if (state_ != NodeState::kBooting) return;
    state_ = NodeState::kReady;
    readySeconds_ = secondsSinceStart();
    if (events_.ready) events_.ready();
    return;
  }
  const auto found = streams_.find(frame.stream);
  if (found == streams_.end()) return;  // of a stream that has ended
  const bool last = frame.type == FrameType::kExit || frame.type == FrameType::kRefused;
  const StreamHandler handler = last ? std::move(found->second) : found->second;
  if (last) streams_.erase(found);
  if (handler) handler(frame);
}

void NodeProcess::onEnd() {
  const auto how = process_->ended();
  if (!how) return;
  loop_.forget(processWatch_);
  processWatch_ = 0;
  // Its last words may still be in the sockets.
  for (StreamChannel* channel : {consoleChannel_.get(), outputChannel_.get(), control_.get()}) {
    channel->catchUp();
  }
  die("QEMU ended with " + *how);
}

void NodeProcess::die(const std::string& why) {
  if (state_ == NodeState::kDead) return;
  state_ = NodeState::kDead;
  process_->kill();
  problem_ = "node " + spec_.name + " died: " + why;
  for (const auto& lines : {output_.lastLines(1), console_.tellingLines(kProblemLines)}) {
    if (!lines.empty()) problem_ += "\n" + lines;
  }
  const auto streams = std::move(streams_);
  streams_.clear();
  for (const auto& [stream, handler] : streams) {
    if (handler) handler(Frame{FrameType::kRefused, stream, problem_ + "\n" + remedy()});
  }
  if (events_.died) events_.died();
}

std::string NodeProcess::remedy() const {
  return "the whole console: " + labCommand("logs " + spec_.name, lab_) + "; then " +
         labCommand("down", lab_) + " and " + labCommand("up", lab_);
}

NodeStatus NodeProcess::status() const {
  NodeStatus status;
  status.name = spec_.name;
  status.state = state_;
  status.pid = state_ == NodeState::kDead ? 0 : process_->pid();
  status.memoryMib = spec_.memoryMib;
  status.cpus = spec_.cpus;
  status.kernel = ready_.kernel;
  status.bootSeconds = ready_.bootSeconds;
  status.readySeconds = readySeconds_;
  status.problem = problem_;
  for (std::size_t i = 0; i < spec_.pfs.size(); ++i) {
    status.pfs.push_back({spec_.pfs[i].name, pfAddress(spec_, i).toString(),
                          pfMac(spec_, i).toString(), spec_.pfs[i].vfs, ""});
  }
  return status;
}

Result<std::uint32_t> NodeProcess::exec(const ExecRequest& request, StreamHandler handler) {
  if (state_ == NodeState::kDead) {
    return Error(ErrorCode::kUnavailable, problem_, remedy());
  }
  if (state_ == NodeState::kBooting) {
    return Error(ErrorCode::kUnavailable, "node " + spec_.name + " is still booting",
                 "wait for it: " + labCommand("up", lab_));
  }
  const std::string payload = request.encode();
  if (payload.size() > kMaxFramePayload) {
    return Error(ErrorCode::kInvalidArgument,
                 "command and environment have " + std::to_string(payload.size()) +
                     " bytes; allowed: up to " + std::to_string(kMaxFramePayload));
  }
  const std::uint32_t stream = nextStream_++;
  streams_.emplace(stream, std::move(handler));
  control_->write(encodeFrame(FrameType::kExec, stream, payload));
  return stream;
}

void NodeProcess::send(std::uint32_t stream, FrameType type, std::string_view payload) {
  if (state_ == NodeState::kReady && hasStream(stream)) {
    control_->write(encodeFrame(type, stream, payload));
  }
}

void NodeProcess::abandon(std::uint32_t stream) {
  const auto found = streams_.find(stream);
  if (found == streams_.end()) return;
  found->second = nullptr;
  send(stream, FrameType::kSignal, SignalRequest{SIGTERM}.encode());
  graceTimers_[stream] = loop_.after(kGrace, [this, stream] {
    graceTimers_.erase(stream);
    send(stream, FrameType::kSignal, SignalRequest{SIGKILL}.encode());
  });
}

void NodeProcess::setCarrier(std::size_t pf, bool up, Qmp::Answer answer) {
  qmp_->setLink(pfDeviceId(pf), up, std::move(answer));
}

}  // namespace railhead::lab
