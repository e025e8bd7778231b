#include "src/os/tcp.h"

#include "src/base/text.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

namespace railhead::os {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kRetryPause = std::chrono::milliseconds(50);

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;
  sockaddr* raw() { return reinterpret_cast<sockaddr*>(&storage); }
  const sockaddr* raw() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

SocketAddress toSocketAddress(const Endpoint& endpoint) {
  SocketAddress out;
  if (endpoint.address.v6) {
    auto& in6 = reinterpret_cast<sockaddr_in6&>(out.storage);
    in6.sin6_family = AF_INET6;
    in6.sin6_port = htons(endpoint.port);
    std::copy(endpoint.address.bytes.begin(), endpoint.address.bytes.end(), in6.sin6_addr.s6_addr);
    out.length = sizeof in6;
  } else {
    auto& in = reinterpret_cast<sockaddr_in&>(out.storage);
    in.sin_family = AF_INET;
    in.sin_port = htons(endpoint.port);
    std::memcpy(&in.sin_addr, endpoint.address.bytes.data(), 4);
    out.length = sizeof in;
  }
  return out;
}

Endpoint fromSocketAddress(const SocketAddress& from) {
  Endpoint out;
  if (from.storage.ss_family == AF_INET6) {
    const auto& in6 = reinterpret_cast<const sockaddr_in6&>(from.storage);
    std::copy_n(in6.sin6_addr.s6_addr, 16, out.address.bytes.begin());
    out.address.v6 = true;
    out.port = ntohs(in6.sin6_port);
  } else {
    const auto& in = reinterpret_cast<const sockaddr_in&>(from.storage);
    std::memcpy(out.address.bytes.data(), &in.sin_addr, 4);
    out.port = ntohs(in.sin_port);
  }
  return out;
}

// Waits for `events` on fd; with fd -1 it only lets time pass. False at the deadline.
bool waitFor(int fd, short events, Deadline deadline) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    if (left.count() <= 0) return false;
    pollfd waiting{fd, events, 0};
    const auto step = static_cast<int>(std::min<std::int64_t>(left.count(), 60'000));
    if (::poll(&waiting, 1, step) > 0) return true;
  }
}

Result<UniqueFd> openSocket(const Endpoint& endpoint) {
  UniqueFd fd(::socket(endpoint.address.v6 ? AF_INET6 : AF_INET,
                       SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return Error::fromErrno(errno, "make a TCP socket");
  return fd;
}

Result<void> bindTo(int fd, const Endpoint& endpoint) {
  const SocketAddress address = toSocketAddress(endpoint);
  if (::bind(fd, address.raw(), address.length) == 0) return {};
  return Error::fromErrno(errno, "bind to " + endpoint.toString());
}

// Small messages, and each is waited for: no gathering of bytes.
void tune(int fd) {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

// 0, or the errno that ended the attempt.
int tryConnect(int fd, const SocketAddress& address, Deadline deadline) {
  if (::connect(fd, address.raw(), address.length) == 0) return 0;
  if (errno != EINPROGRESS) return errno;
  if (!waitFor(fd, POLLOUT, deadline)) return ETIMEDOUT;
  int failure = 0;
  socklen_t size = sizeof failure;
  if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &size) != 0) return errno;
  return failure;
}

IpAddress fromRaw(const sockaddr* raw) {
  SocketAddress out;
  std::memcpy(&out.storage, raw,
              raw->sa_family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in));
  return fromSocketAddress(out).address;
}

struct Question {
  std::string host;
  addrinfo hints{};
  gaicb request{};
};

// The resolver cannot be called off from servers that are silent, and writes into it in the end.
void leaveToResolver(std::unique_ptr<Question> question) {
  static std::mutex mutex;
  static auto& left = *new std::vector<std::unique_ptr<Question>>();
  const std::lock_guard lock(mutex);
  std::erase_if(left, [](const auto& one) {
    if (::gai_error(&one->request) == EAI_INPROGRESS) return false;
    if (one->request.ar_result != nullptr) ::freeaddrinfo(one->request.ar_result);
    return true;
  });
  left.push_back(std::move(question));
}

// One question to the system's resolver, which has no deadline of its own: asked beside us, and
// given up when time is over. 0 with an address, or the resolver's code (EAI_...).
int askResolver(const std::string& host, Deadline deadline, IpAddress& out) {
  auto question = std::make_unique<Question>();
  question->host = host;
  question->hints.ai_socktype = SOCK_STREAM;
  question->hints.ai_flags = AI_ADDRCONFIG;
  gaicb& request = question->request;
  request.ar_name = question->host.c_str();
  request.ar_request = &question->hints;
  gaicb* list[] = {&request};
  if (const int code = ::getaddrinfo_a(GAI_NOWAIT, list, 1, nullptr); code != 0) return code;
  int code = EAI_INPROGRESS;
  while (code == EAI_INPROGRESS) {
    const auto left = std::max(Clock::duration::zero(), deadline - Clock::now());
    const auto seconds = std::chrono::floor<std::chrono::seconds>(left);
    const timespec wait{seconds.count(), std::chrono::nanoseconds(left - seconds).count()};
    ::gai_suspend(list, 1, &wait);
    code = ::gai_error(&request);
    if (code != EAI_INPROGRESS || left > Clock::duration::zero()) continue;
    if (::gai_cancel(&request) != EAI_NOTCANCELED) continue;
    leaveToResolver(std::move(question));
    return EAI_AGAIN;
  }
  if (code != 0) return code;
  if (request.ar_result == nullptr) return EAI_NONAME;
  out = fromRaw(request.ar_result->ai_addr);
  ::freeaddrinfo(request.ar_result);
  return 0;
}

bool mayPass(int failure) {
  return failure == ECONNREFUSED || failure == EHOSTUNREACH || failure == ENETUNREACH ||
         failure == ECONNRESET;
}

}  // namespace

Result<Endpoint> Endpoint::parse(std::string_view text) {
  const Error bad(ErrorCode::kInvalidArgument,
                  "endpoint " + inQuotes(text) +
                      ": expected ADDRESS:PORT with a numeric address, like 10.0.0.1:7471 or "
                      "[fd00::1]:7471");
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return bad;
  const auto port = parseUnsigned(text.substr(colon + 1));
  if (!port || *port > 65535) return bad;
  std::string_view host = text.substr(0, colon);
  Endpoint out;
  out.port = static_cast<std::uint16_t>(*port);
  if (host.empty()) return out;
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  const auto address = IpAddress::parse(host);
  if (!address.has_value() || address->v6 != bracketed) return bad;
  out.address = *address;
  return out;
}

std::string Endpoint::toString() const {
  const std::string host = address.v6 ? "[" + address.toString() + "]" : address.toString();
  return host + ":" + std::to_string(port);
}

Result<UniqueFd> listenTcp(const Endpoint& endpoint) {
  RAILHEAD_TRY_ASSIGN(UniqueFd fd, openSocket(endpoint));
  const int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  RAILHEAD_TRY(bindTo(fd.get(), endpoint));
  if (::listen(fd.get(), 8) != 0) {
    return Error::fromErrno(errno, "listen on " + endpoint.toString());
  }
  return fd;
}

Result<Endpoint> boundEndpoint(int fd) {
  SocketAddress address;
  address.length = sizeof address.storage;
  if (::getsockname(fd, address.raw(), &address.length) != 0) {
    return Error::fromErrno(errno, "read the socket's own address");
  }
  return fromSocketAddress(address);
}

Result<Accepted> acceptTcp(int listener, Deadline deadline) {
  for (;;) {
    SocketAddress peer;
    peer.length = sizeof peer.storage;
    UniqueFd fd(::accept4(listener, peer.raw(), &peer.length, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (fd) {
      tune(fd.get());
      return Accepted{std::move(fd), fromSocketAddress(peer).toString()};
    }
    if (errno == EAGAIN) {
      if (!waitFor(listener, POLLIN, deadline)) {
        return Error(ErrorCode::kDeadlineExceeded, "nobody connected");
      }
    } else if (errno != EINTR && errno != ECONNABORTED) {
      return Error::fromErrno(errno, "accept a connection");
    }
  }
}

Result<UniqueFd> connectTcp(const Endpoint& endpoint, Deadline deadline,
                            const std::optional<IpAddress>& source) {
  const SocketAddress address = toSocketAddress(endpoint);
  for (;;) {
    RAILHEAD_TRY_ASSIGN(UniqueFd fd, openSocket(endpoint));
    if (source) RAILHEAD_TRY(bindTo(fd.get(), {*source, 0}));
    const int failure = tryConnect(fd.get(), address, deadline);
    if (failure == 0) {
      tune(fd.get());
      return fd;
    }
    // A refused attempt is repeated after a pause: the listener may still be starting.
    const bool over = Clock::now() + kRetryPause >= deadline;
    if (!mayPass(failure) || over) {
      return Error::fromErrno(failure, "connect to " + endpoint.toString());
    }
    waitFor(-1, 0, Clock::now() + kRetryPause);
  }
}

Result<IpAddress> resolveHost(const std::string& host, Deadline deadline) {
  const bool plain = std::all_of(host.begin(), host.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '.' || c == '-' || c == '_' || c == ':';
  });
  if (host.empty() || host.size() > 253 || !plain) {
    return Error(ErrorCode::kInvalidArgument,
                 "host " + inQuotes(host) + ": expected a host name or a numeric address");
  }
  if (const auto numeric = IpAddress::parse(host); numeric.has_value()) return *numeric;
  constexpr auto kAskAgain = std::chrono::milliseconds(500);
  for (;;) {
    IpAddress address;
    const int code = askResolver(host, deadline, address);
    if (code == 0) return address;
    if (Clock::now() + kAskAgain >= deadline) {
      return Error(ErrorCode::kEnvironment,
                   "host " + host + " has no address: " + ::gai_strerror(code),
                   "check the name, and that its record exists (a headless Service publishes a pod "
                   "once it runs)");
    }
    waitFor(-1, 0, Clock::now() + kAskAgain);
  }
}

Result<IpAddress> ownAddressTowards(const IpAddress& peer) {
  const UniqueFd fd(::socket(peer.v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) return Error::fromErrno(errno, "make a UDP socket");
  const SocketAddress to = toSocketAddress({peer, 9});  // any port: nothing is sent
  if (::connect(fd.get(), to.raw(), to.length) != 0) {
    return Error::fromErrno(errno, "find the way to " + peer.toString());
  }
  RAILHEAD_TRY_ASSIGN(const Endpoint own, boundEndpoint(fd.get()));
  return own.address;
}

}  // namespace railhead::os
