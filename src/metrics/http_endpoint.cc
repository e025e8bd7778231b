#include "src/metrics/http_endpoint.h"

#include "src/base/text.h"
#include "src/metrics/http_request.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

namespace railhead::metrics {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr int kBacklog = 64;
constexpr int kAcceptPauseMs = 50;
constexpr std::size_t kMaxDrained = 64 * 1024;

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

SocketAddress toSocketAddress(const ListenAddress& listen) {
  SocketAddress out;
  if (listen.address.v6) {
    sockaddr_in6 in{};
    in.sin6_family = AF_INET6;
    in.sin6_port = htons(listen.port);
    std::memcpy(&in.sin6_addr, listen.address.bytes.data(), 16);
    std::memcpy(&out.storage, &in, sizeof in);
    out.size = sizeof in;
  } else {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(listen.port);
    std::memcpy(&in.sin_addr, listen.address.bytes.data(), 4);
    std::memcpy(&out.storage, &in, sizeof in);
    out.size = sizeof in;
  }
  return out;
}

Result<os::UniqueFd> listenOn(ListenAddress& listen) {
  const auto failed = [&](const char* what) {
    Error error = Error::fromErrno(errno, std::string(what) + " " + listen.toString());
    if (error.errnoValue == EADDRINUSE) error.code = ErrorCode::kBusy;
    return std::move(error).withRemedy("give another address in metrics.listen");
  };
  os::UniqueFd fd(::socket(listen.address.v6 ? AF_INET6 : AF_INET,
                           SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return failed("make a socket for");
  const int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  auto address = toSocketAddress(listen);
  if (::bind(fd.get(), address.get(), address.size) != 0) return failed("listen on");
  if (::listen(fd.get(), kBacklog) != 0) return failed("listen on");
  if (::getsockname(fd.get(), address.get(), &address.size) != 0) return failed("look at");
  in_port_t port = 0;  // at the same place in both families
  std::memcpy(&port,
              reinterpret_cast<const char*>(&address.storage) + offsetof(sockaddr_in, sin_port),
              sizeof port);
  listen.port = ntohs(port);
  return fd;
}

std::string encodeAnswer(const HttpAnswer& answer, bool head) {
  std::string text = "HTTP/1.1 " + std::to_string(answer.status) + " " +
                     std::string(httpReason(answer.status)) +
                     "\r\nContent-Type: " + answer.contentType +
                     "\r\nContent-Length: " + std::to_string(answer.body.size()) +
                     "\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n";
  if (answer.status == 405) text += "Allow: GET, HEAD\r\n";
  text += "\r\n";
  if (!head) text += answer.body;
  return text;
}

}  // namespace

Result<ListenAddress> ListenAddress::parse(std::string_view text) {
  const auto colon = text.rfind(':');
  const Error wrong(ErrorCode::kInvalidArgument,
                    "is " + inQuotes(text) +
                        "; allowed: an address and a port, like 127.0.0.1:9477 or [::1]:9477");
  if (colon == std::string_view::npos) return wrong;
  auto host = text.substr(0, colon);
  const bool brackets = host.starts_with('[') && host.ends_with(']');
  if (brackets) host = host.substr(1, host.size() - 2);
  const auto address = IpAddress::parse(host);
  const auto port = parseUnsigned(text.substr(colon + 1));
  if (!address.has_value() || address->v6 != brackets || !port || *port > 65535) return wrong;
  return ListenAddress{*address, static_cast<std::uint16_t>(*port)};
}

std::string ListenAddress::toString() const {
  const std::string host = address.toString();
  return (address.v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

struct HttpEndpoint::Connection {
  enum class State { kReceiving, kSending, kDraining };
  os::UniqueFd fd;
  SteadyClock::time_point deadline;
  State state = State::kReceiving;
  std::string request;
  std::string answer;
  std::size_t sent = 0;
  std::size_t drained = 0;

  short events() const { return state == State::kSending ? POLLOUT : POLLIN; }
};

Result<std::unique_ptr<HttpEndpoint>> HttpEndpoint::start(const ListenAddress& listen,
                                                          HttpHandler handler,
                                                          std::chrono::milliseconds deadline) {
  ListenAddress address = listen;
  RAILHEAD_TRY_ASSIGN(os::UniqueFd listener, listenOn(address));
  os::UniqueFd stop(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!stop) return Error::fromErrno(errno, "make an event descriptor");
  return std::unique_ptr<HttpEndpoint>(new HttpEndpoint(address, std::move(handler), deadline,
                                                        std::move(listener), std::move(stop)));
}

HttpEndpoint::HttpEndpoint(ListenAddress address, HttpHandler handler,
                           std::chrono::milliseconds deadline, os::UniqueFd listener,
                           os::UniqueFd stop)
    : address_(address),
      handler_(std::move(handler)),
      deadline_(deadline),
      listener_(std::move(listener)),
      stop_(std::move(stop)),
      thread_([this] { serve(); }) {}

HttpEndpoint::~HttpEndpoint() {
  ::eventfd_write(stop_.get(), 1);
  thread_.join();
}

void HttpEndpoint::serve() {
  std::vector<pollfd> fds;
  for (;;) {
    fds.assign({{stop_.get(), POLLIN, 0}, {listener_.get(), POLLIN, 0}});
    for (const auto& one : connections_) fds.push_back({one.fd.get(), one.events(), 0});
    if (::poll(fds.data(), fds.size(), timeToDeadline()) < 0 && errno != EINTR) return;
    if (fds[0].revents != 0) return;
    for (std::size_t i = connections_.size(); i-- > 0;) {
      if (fds[i + 2].revents != 0 && !advance(connections_[i])) {
        connections_.erase(connections_.begin() + static_cast<std::ptrdiff_t>(i));
      }
    }
    closeOverdue();
    if (fds[1].revents != 0) acceptAll();
  }
}

void HttpEndpoint::acceptAll() {
  for (std::size_t taken = 0; taken < kMaxConnections; ++taken) {
    os::UniqueFd peer(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!peer) {
      if (errno != EMFILE && errno != ENFILE && errno != ENOMEM && errno != ENOBUFS) return;
      pollfd stop{stop_.get(), POLLIN, 0};  // out of descriptors: not again at once
      ::poll(&stop, 1, kAcceptPauseMs);
      return;
    }
    if (connections_.size() == kMaxConnections) connections_.erase(connections_.begin());
    connections_.push_back({std::move(peer),
                            SteadyClock::now() + deadline_,
                            Connection::State::kReceiving,
                            {},
                            {},
                            0,
                            0});
  }
}

void HttpEndpoint::closeOverdue() {
  const auto now = SteadyClock::now();
  std::erase_if(connections_, [&](const Connection& one) { return one.deadline <= now; });
}

int HttpEndpoint::timeToDeadline() const {
  if (connections_.empty()) return -1;
  // Accepted in order, with one and the same time: the oldest is due first.
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(connections_.front().deadline -
                                                                 SteadyClock::now());
  return static_cast<int>(std::max<std::int64_t>(left.count(), 0));
}

bool HttpEndpoint::advance(Connection& connection) {
  return connection.state == Connection::State::kSending ? send(connection) : receive(connection);
}

bool HttpEndpoint::receive(Connection& connection) {
  char buffer[4096];
  const ssize_t count = ::recv(connection.fd.get(), buffer, sizeof buffer, 0);
  if (count < 0) return errno == EAGAIN || errno == EINTR;
  if (count == 0) return false;
  const std::size_t size = static_cast<std::size_t>(count);
  if (connection.state == Connection::State::kDraining) {
    connection.drained += size;
    return connection.drained <= kMaxDrained;
  }
  connection.request.append(buffer, size);
  const auto request = readHttpRequest(connection.request, kMaxRequest);
  if (!request) return true;
  const auto answer =
      request->refusal == 0
          ? handler_(request->path)
          : HttpAnswer{request->refusal, std::string(httpReason(request->refusal)) + "\n"};
  connection.answer = encodeAnswer(answer, request->head);
  connection.request.clear();
  connection.state = Connection::State::kSending;
  return send(connection);
}

bool HttpEndpoint::send(Connection& connection) {
  while (connection.sent < connection.answer.size()) {
    const ssize_t count = ::send(connection.fd.get(), connection.answer.data() + connection.sent,
                                 connection.answer.size() - connection.sent, MSG_NOSIGNAL);
    if (count < 0) return errno == EAGAIN || errno == EINTR;
    connection.sent += static_cast<std::size_t>(count);
  }
  // Closed while the peer still sends, the connection would be reset and the answer lost.
  connection.answer = {};
  connection.state = Connection::State::kDraining;
  return ::shutdown(connection.fd.get(), SHUT_WR) == 0;
}

}  // namespace railhead::metrics
