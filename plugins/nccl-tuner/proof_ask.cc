#include "plugins/nccl-tuner/descriptor.h"
#include "plugins/nccl-tuner/proof_sides.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>

namespace railhead::nccl_tuner {
namespace {

constexpr std::int64_t kPauseMs = 50;         // rank 0 may come later
constexpr std::int64_t kConnectMs = 2000;     // of one address
constexpr std::int64_t kAnswerMoreMs = 2000;  // for rank 0 to answer all, beyond its deadline

// Whether `descriptor` is ready, or has failed, before `until`.
bool await(int descriptor, short events, std::int64_t until) {
  for (;;) {
    const auto left = until - nowMs();
    if (left <= 0) return false;
    pollfd polled{descriptor, events, 0};
    const int ready = ::poll(&polled, 1, static_cast<int>(left));
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return false;
  }
}

bool connectTo(const addrinfo& address, std::int64_t until, Descriptor& connection) {
  connection.reset(
      ::socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, address.ai_protocol));
  if (!connection.open()) return false;
  if (::connect(connection.get(), address.ai_addr, address.ai_addrlen) == 0) return true;
  if (errno != EINPROGRESS || !await(connection.get(), POLLOUT, until)) return false;
  int error = 0;
  socklen_t length = sizeof error;
  return ::getsockopt(connection.get(), SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error == 0;
}

// The answer to `hello` over a fresh connection; false when what comes is none.
bool talk(int connection, const ProofMessage& hello, std::int64_t until, ProofMessage& verdict) {
  const auto said = encode(hello);
  if (::send(connection, said.data(), said.size(), MSG_NOSIGNAL | MSG_DONTWAIT) !=
      static_cast<ssize_t>(said.size()))
    return false;
  ProofBytes heard{};
  for (std::size_t got = 0; got < heard.size();) {
    if (!await(connection, POLLIN, until)) return false;
    const auto more = ::recv(connection, heard.data() + got, heard.size() - got, MSG_DONTWAIT);
    if (more < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (more <= 0) return false;
    got += static_cast<std::size_t>(more);
  }
  return decode(heard, verdict) && verdict.kind != ProofMessage::Kind::Hello &&
         verdict.sameJob(hello) && verdict.rank < hello.world;
}

// One round over all addresses of rank 0's host.
bool tryOnce(const ProofPlace& place, const ProofMessage& own, std::int64_t until,
             ProofMessage& verdict) {
  char port[8];
  std::snprintf(port, sizeof port, "%u", place.port);
  addrinfo wanted{};
  wanted.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(place.host, port, &wanted, &found) != 0) return false;
  bool answered = false;
  for (const auto* address = found; address != nullptr && !answered; address = address->ai_next) {
    const auto now = nowMs();
    Descriptor connection;
    if (!connectTo(*address, std::min(until, now + kConnectMs), connection)) continue;
    const auto patience = std::int64_t{place.seconds} * 1000 + kAnswerMoreMs;
    answered = talk(connection.get(), own, nowMs() + patience, verdict);
  }
  ::freeaddrinfo(found);
  return answered;
}

}  // namespace

bool askRankZero(const ProofPlace& place, const ProofMessage& own, ProofMessage& verdict,
                 Remark& why) {
  const auto until = nowMs() + std::int64_t{place.seconds} * 1000;
  while (nowMs() < until) {
    if (tryOnce(place, own, until, verdict)) return true;
    ::poll(nullptr, 0, static_cast<int>(kPauseMs));
  }
  why.say("rank 0 did not answer within %u s at %.100s, port %u: it has no table, or no tuner",
          place.seconds, place.host, place.port);
  return false;
}

}  // namespace railhead::nccl_tuner
