#include "src/bench/rendezvous.h"

#include "src/base/text.h"

#include <algorithm>
#include <chrono>

namespace railhead::bench {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kIntroductionTime = std::chrono::seconds(2);
constexpr std::size_t kMaxIntroduction = 1024;
constexpr std::string_view kMagic = "railhead-rendezvous";
constexpr std::string_view kWelcome = "welcome";
constexpr std::string_view kRefused = "refused ";

// "railhead-rendezvous\nPURPOSE\nTOKEN": three lines, compared as they are.
std::string greeting(const Introduction& own) {
  return std::string(kMagic) + "\n" + own.purpose + "\n" + own.token;
}

// Empty when the greeting is the one expected.
std::string objection(std::string_view text, const Introduction& own) {
  const auto lines = split(text, '\n');
  if (lines.size() != 3 || lines[0] != kMagic) return "not a railhead peer";
  if (lines[1] != own.purpose) {
    return "this end runs '" + own.purpose + "', the peer " + inQuotes(lines[1], 40);
  }
  return lines[2] == own.token ? "" : "wrong token";
}

struct TurnedAway {
  std::size_t count = 0;
  std::string last;
};

Error nobodyCame(int listener, const TurnedAway& turnedAway) {
  const auto bound = os::boundEndpoint(listener);
  std::string message =
      "no peer came to " + (bound.has_value() ? bound->toString() : std::string("the listener"));
  if (turnedAway.count > 0) {
    message +=
        "; turned away " + std::to_string(turnedAway.count) + ", the last one: " + turnedAway.last;
  }
  return Error(ErrorCode::kEnvironment, message,
               "start the same command with --connect and the same token on the other node");
}

}  // namespace

Result<void> Channel::send(std::string_view text, Deadline deadline) {
  if (text.size() > kMaxFrame) {
    return Error(ErrorCode::kInternal,
                 "a frame of " + std::to_string(text.size()) + " bytes for " + peer_);
  }
  return os::sendFrame(fd_.get(), text, deadline).addContext("peer " + peer_);
}

Result<std::string> Channel::receive(Deadline deadline) {
  return os::receiveFrame(fd_.get(), deadline, kMaxFrame).addContext("peer " + peer_);
}

Result<Channel> meetAsListener(int listener, const Introduction& own, Deadline deadline) {
  TurnedAway turnedAway;
  for (;;) {
    auto accepted = os::acceptTcp(listener, deadline);
    if (!accepted.has_value()) {
      if (accepted.error().code != ErrorCode::kDeadlineExceeded) return accepted.error();
      return nobodyCame(listener, turnedAway);
    }
    const auto limit = std::min(deadline, Clock::now() + kIntroductionTime);
    const auto text = os::receiveFrame(accepted->fd.get(), limit, kMaxIntroduction);
    const std::string refusal =
        text.has_value() ? objection(*text, own) : "not a railhead peer: " + text.error().message;
    if (refusal.empty()) {
      RAILHEAD_TRY(os::sendFrame(accepted->fd.get(), kWelcome, limit));
      return Channel(std::move(accepted->fd), accepted->peer);
    }
    ++turnedAway.count;
    turnedAway.last = accepted->peer + ", " + refusal;
    // The other end may be gone already; then there is nobody to tell.
    (void)os::sendFrame(accepted->fd.get(), std::string(kRefused) + refusal, limit);
  }
}

Result<Channel> meetAsConnector(const Endpoint& endpoint, const Introduction& own,
                                Deadline deadline) {
  const std::string remedy =
      "start the same command with --listen on the other node, and check that " +
      endpoint.toString() + " is reachable from here";
  auto fd = os::connectTcp(endpoint, deadline);
  if (!fd.has_value()) {
    return Error(ErrorCode::kEnvironment, "no peer: " + fd.error().message, remedy);
  }
  Channel channel(std::move(*fd), endpoint.toString());
  const auto sent = channel.send(greeting(own), deadline);
  if (!sent.has_value()) return Error(ErrorCode::kEnvironment, sent.error().message, remedy);
  const auto answer = os::receiveFrame(channel.fd(), deadline, kMaxIntroduction);
  if (!answer.has_value()) {
    return Error(ErrorCode::kEnvironment,
                 "peer " + channel.peer() + " gave no welcome: " + answer.error().message, remedy);
  }
  if (*answer == kWelcome) return channel;
  if (answer->starts_with(kRefused)) {
    return Error(ErrorCode::kPermissionDenied,
                 "peer " + channel.peer() + " refused: " +
                     inQuotes(std::string_view(*answer).substr(kRefused.size()), 160),
                 "give both ends the same --token and the same version of railhead");
  }
  return Error(ErrorCode::kEnvironment, "peer " + channel.peer() + " is not a railhead listener",
               remedy);
}

}  // namespace railhead::bench
