// A small HTTP/1.1 server for scrapers and probes: GET and HEAD, one request a connection, no body.
//
// One thread serves everybody and waits for nobody: a connection that sends or reads slowly costs
// its slot and nothing else, has a deadline from its first moment on, and when every slot is taken
// the oldest one makes room for the newest.
#pragma once

#include "src/base/ip.h"
#include "src/base/result.h"
#include "src/os/unique_fd.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace railhead::metrics {

struct ListenAddress {
  IpAddress address;
  std::uint16_t port = 0;  // 0: the kernel chooses

  // "127.0.0.1:9477", "[::1]:9477". kInvalidArgument.
  static Result<ListenAddress> parse(std::string_view text);
  std::string toString() const;
  bool operator==(const ListenAddress&) const = default;
};

struct HttpAnswer {
  int status = 200;
  std::string body;
  std::string contentType = "text/plain; charset=utf-8";
};

// `path` without the query. Called from the server's thread, one call at a time; while it runs
// nobody else is answered, so it should take milliseconds.
using HttpHandler = std::function<HttpAnswer(std::string_view path)>;

class HttpEndpoint {
 public:
  static constexpr std::size_t kMaxConnections = 16;
  static constexpr std::size_t kMaxRequest = 8192;  // bytes of request line and headers
  // From accepting to the last byte of the answer.
  static constexpr std::chrono::milliseconds kDeadline{5000};

  // kBusy: the address is in use.
  static Result<std::unique_ptr<HttpEndpoint>> start(
      const ListenAddress& listen, HttpHandler handler,
      std::chrono::milliseconds deadline = kDeadline);
  ~HttpEndpoint();  // closes every connection, joins
  HttpEndpoint(const HttpEndpoint&) = delete;
  HttpEndpoint& operator=(const HttpEndpoint&) = delete;

  const ListenAddress& address() const { return address_; }  // with the port that was chosen

 private:
  struct Connection;
  HttpEndpoint(ListenAddress address, HttpHandler handler, std::chrono::milliseconds deadline,
               os::UniqueFd listener, os::UniqueFd stop);
  void serve();
  void acceptAll();
  void closeOverdue();
  int timeToDeadline() const;            // milliseconds; -1: nobody is connected
  bool advance(Connection& connection);  // false: done with it
  bool receive(Connection& connection);
  bool send(Connection& connection);

  const ListenAddress address_;
  const HttpHandler handler_;
  const std::chrono::milliseconds deadline_;
  os::UniqueFd listener_;
  os::UniqueFd stop_;                    // eventfd: readable when it is time to end
  std::vector<Connection> connections_;  // the thread's own, the oldest first
  std::thread thread_;
};

}  // namespace railhead::metrics
