// How two ends of a test find each other: one listens, one connects, both know a token that keeps
// two tests on one machine apart (it travels in the clear: a name, not a password). Afterwards they
// exchange bounded text frames with deadlines.
#pragma once

#include "src/os/tcp.h"

#include <string>
#include <string_view>

namespace railhead::bench {

using os::Deadline;
using os::Endpoint;

// One end of the conversation. Not thread-safe.
class Channel {
 public:
  static constexpr std::size_t kMaxFrame = 256 << 10;

  Channel(os::UniqueFd fd, std::string peer) : fd_(std::move(fd)), peer_(std::move(peer)) {}
  // Both name the peer. kUnavailable when it closed, kDeadlineExceeded, kCorrupt for a frame that
  // is too long.
  Result<void> send(std::string_view text, Deadline deadline);
  Result<std::string> receive(Deadline deadline);
  int fd() const { return fd_.get(); }
  const std::string& peer() const { return peer_; }

 private:
  os::UniqueFd fd_;
  std::string peer_;
};

struct Introduction {
  std::string purpose;  // "bench-verbs 1": both ends must be of one kind and version
  std::string token;
};

// Waits for the peer. Connections that speak something else, give another token or stay silent for
// two seconds are turned away and counted; it goes on waiting. kEnvironment at the deadline, naming
// those turned away.
Result<Channel> meetAsListener(int listener, const Introduction& own, Deadline deadline);

// kEnvironment when nobody answers; kPermissionDenied when the listener refuses the token.
Result<Channel> meetAsConnector(const Endpoint& endpoint, const Introduction& own,
                                Deadline deadline);

}  // namespace railhead::bench
