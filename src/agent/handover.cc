#include "src/agent/handover.h"

#include "src/base/text.h"
#include "src/os/descriptor_passing.h"
#include "src/os/unix_socket.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace railhead::agent {
namespace {

constexpr const char* kAsk = "handover/2";
constexpr const char* kYours = "yours";
constexpr const char* kLeave = "leave";
constexpr const char* kGone = "gone";  // with the resource of each connection, a line each
constexpr const char* kKept = "kept";
constexpr const char* kNotKept = "not kept";
constexpr const char* kEnded = "ended";
constexpr std::size_t kMaxWord = 256;
constexpr std::size_t kMaxList = 128 << 10;

constexpr std::chrono::seconds kAnswer{1};
constexpr std::chrono::seconds kKeep{10};
constexpr std::chrono::seconds kAskable{60};
constexpr std::chrono::milliseconds kAskAgain{20};
constexpr std::chrono::milliseconds kStaysFree{200};
// Requests of pods under way are finished first; they wait for drivers and GIDs.
constexpr std::chrono::seconds kRelease{60};
// The newer one recovers, provisions and looks in this time.
constexpr std::chrono::seconds kPrepare{120};

os::Deadline in(std::chrono::seconds time) { return std::chrono::steady_clock::now() + time; }

// The newer one's connection, once the node is free.
Result<os::UniqueFd> askForNode(const std::string& path) {
  RAILHEAD_TRY_ASSIGN(os::UniqueFd connection, os::connectUnix(path, in(kAnswer)));
  RAILHEAD_TRY(os::sendFrame(connection.get(), kAsk, in(kAnswer)));
  RAILHEAD_TRY_ASSIGN(const std::string answer,
                      os::receiveFrame(connection.get(), in(kRelease), kMaxWord));
  if (answer == kYours) return connection;
  return Error(ErrorCode::kCorrupt,
               "the running agent answered a request to hand over with " + inQuotes(answer));
}

// Another agent that waits may look for a moment whether the lock is free.
Result<os::UniqueFd> lockOfFreeNode(const std::function<Result<os::UniqueFd>()>& lock) {
  const auto deadline = in(kAnswer);
  for (;;) {
    auto locked = lock();
    const bool late = std::chrono::steady_clock::now() >= deadline;
    if (locked.has_value() || late || locked.error().code != ErrorCode::kBusy) return locked;
    std::this_thread::sleep_for(kAskAgain);
  }
}

}  // namespace

Result<std::unique_ptr<HandoverServer>> HandoverServer::start(const std::string& path,
                                                              HandoverDuties duties) {
  RAILHEAD_TRY_ASSIGN(os::UnixListener listener, os::UnixListener::open(path, {.displace = true}));
  os::UniqueFd stop(::eventfd(0, EFD_CLOEXEC));
  if (!stop) return Error::fromErrno(errno, "make an event descriptor");
  return std::unique_ptr<HandoverServer>(
      new HandoverServer(std::move(listener), std::move(stop), std::move(duties)));
}

HandoverServer::HandoverServer(os::UnixListener listener, os::UniqueFd stop, HandoverDuties duties)
    : path_(listener.path()),
      listener_(std::move(listener)),
      stop_(std::move(stop)),
      duties_(std::move(duties)),
      thread_([this] { serve(); }) {}

HandoverServer::~HandoverServer() { stop(); }

void HandoverServer::stop() {
  if (!thread_.joinable()) return;
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t told = ::write(stop_.get(), &one, sizeof one);
  thread_.join();
  listener_.close();  // who asks now finds nobody, and takes a free node
}

void HandoverServer::serve() {
  for (;;) {
    std::array<pollfd, 2> fds{{{listener_.fd(), POLLIN, 0}, {stop_.get(), POLLIN, 0}}};
    if (::poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) return;
    if (fds[1].revents != 0) return;
    if (fds[0].revents == 0) continue;
    auto peer = listener_.accept();
    constexpr int kPauseMs = 50;  // out of descriptors: not again at once
    if (!peer.has_value() && ::poll(&fds[1], 1, kPauseMs) > 0) return;
    if (!peer.has_value() || !*peer) continue;
    peer_ = std::move(**peer);
    if (handOver()) return;
    peer_.reset();
  }
}

HandoverServer::Said HandoverServer::waitForWord(int peer, const char* word) {
  std::array<pollfd, 2> fds{{{peer, POLLIN, 0}, {stop_.get(), POLLIN, 0}}};
  const auto wait = std::chrono::duration_cast<std::chrono::milliseconds>(kPrepare).count();
  ::poll(fds.data(), fds.size(), static_cast<int>(wait));
  if (fds[1].revents != 0) return Said::kStop;
  if (fds[0].revents == 0) return Said::kNothing;
  const auto said = os::receiveFrame(peer, in(kAnswer), kMaxWord);
  return said.has_value() && *said == word ? Said::kWord : Said::kNothing;
}

// The newer one may hold the node a while longer, or for good: then this one stands by.
bool HandoverServer::takeBack() {
  constexpr std::chrono::milliseconds kFirstPause{20};
  constexpr std::chrono::milliseconds kLastPause{5000};
  auto pause = kFirstPause;
  bool served = false;
  for (;;) {
    served = served || duties_.takeBack().has_value();
    if (served) {
      auto listener = os::UnixListener::open(path_, {.displace = true});
      if (listener.has_value()) {
        listener_ = std::move(*listener);
        return true;
      }
    }
    pollfd stop{stop_.get(), POLLIN, 0};
    if (::poll(&stop, 1, static_cast<int>(pause.count())) > 0) return false;
    pause = std::min(pause * 2, kLastPause);
  }
}

bool HandoverServer::handOver() {
  const auto asked = os::receiveFrame(peer_.get(), in(kAnswer), kMaxWord);
  if (!asked.has_value() || *asked != kAsk) return false;
  listener_.close();  // the newer one binds this name as its own
  duties_.release();
  const bool told = os::sendFrame(peer_.get(), kYours, in(kAnswer)).has_value();
  switch (told ? waitForWord(peer_.get(), kLeave) : Said::kNothing) {
    case Said::kStop:
      return true;
    case Said::kNothing:
      peer_.reset();
      return !takeBack();
    case Said::kWord:
      break;
  }
  give(peer_.get());
  return true;
}

void HandoverServer::give(int peer) {
  auto connections = duties_.leave();
  // The oldest count least: with so many, kubelet has not been restarted for years.
  if (connections.size() > os::kMaxPassed) {
    connections.erase(connections.begin(),
                      connections.end() - static_cast<std::ptrdiff_t>(os::kMaxPassed));
  }
  std::string list = kGone;
  std::vector<os::UniqueFd> files;
  for (auto& connection : connections) {
    list += "\n" + connection.resource;
    files.push_back(std::move(connection.fd));
  }
  const bool given = os::sendFrame(peer, list, in(kAnswer)).has_value() &&
                     os::sendDescriptors(peer, files, in(kAnswer)).has_value();
  const auto answer =
      given ? os::receiveFrame(peer, in(kKeep), kMaxWord) : Result<std::string>(std::string());
  if (answer.has_value() && *answer == kKept) return;
  duties_.hangUp();
  static_cast<void>(os::sendFrame(peer, kEnded, in(kAnswer)));
}

Result<Handover> Handover::begin(const std::string& path) {
  auto connection = askForNode(path);
  if (connection.has_value()) return Handover(std::move(*connection));
  Error error = std::move(connection).error();
  // A socket file that a killed agent left refuses connections; an agent that is killed meanwhile,
  // or hands over to another, ends them.
  if (error.code == ErrorCode::kUnavailable) error.code = ErrorCode::kNotFound;
  return error;
}

Result<TakenNode> takeOver(const std::string& path, const TakeOverSeams& seams) {
  const auto deadline = in(kAskable);
  bool told = false;
  bool wasFree = false;
  for (;;) {
    auto begun = Handover::begin(path);
    if (begun.has_value()) {
      RAILHEAD_TRY_ASSIGN(auto lock, lockOfFreeNode(seams.lock));
      return TakenNode{std::move(*begun), std::move(lock)};
    }
    if (begun.error().code != ErrorCode::kNotFound) return std::move(begun).error();
    auto lock = seams.lock();
    if (lock.has_value() && (!told || wasFree)) return TakenNode{std::nullopt, std::move(*lock)};
    const bool late = std::chrono::steady_clock::now() >= deadline;
    if (!lock.has_value() && (late || lock.error().code != ErrorCode::kBusy))
      return std::move(lock).error();
    if (!std::exchange(told, true)) seams.waits();
    // An agent that hands over to another lets go of the lock a moment before that one has it.
    wasFree = lock.has_value();
    lock = os::UniqueFd();
    std::this_thread::sleep_for(wasFree ? kStaysFree : kAskAgain);
  }
}

Result<std::vector<KeptConnection>> Handover::finish() {
  const os::UniqueFd peer = std::move(connection_);
  RAILHEAD_TRY(os::sendFrame(peer.get(), kLeave, in(kAnswer)));
  RAILHEAD_TRY_ASSIGN(const std::string list, os::receiveFrame(peer.get(), in(kRelease), kMaxList));
  auto files = os::receiveDescriptors(peer.get(), in(kAnswer));
  const auto lines = split(list, '\n');
  if (files.has_value() && lines.front() == kGone && files->size() + 1 == lines.size()) {
    RAILHEAD_TRY(os::sendFrame(peer.get(), kKept, in(kAnswer)));
    std::vector<KeptConnection> kept;
    for (std::size_t i = 0; i < files->size(); ++i)
      kept.push_back({std::string(lines[i + 1]), std::move((*files)[i])});
    return kept;
  }
  static_cast<void>(os::sendFrame(peer.get(), kNotKept, in(kAnswer)));
  static_cast<void>(os::receiveFrame(peer.get(), in(kKeep), kMaxWord));
  if (!files.has_value()) return std::move(files).error();
  return Error(ErrorCode::kCorrupt, "the older agent gave " + std::to_string(files->size()) +
                                        " connections and named " +
                                        std::to_string(lines.size() - 1));
}

}  // namespace railhead::agent
