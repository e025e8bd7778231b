// Over real sockets on the loopback.
#include "src/metrics/http_endpoint.h"

#include <cstring>

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace railhead::metrics {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr int kPatienceMs = 20000;

HttpAnswer answer(std::string_view path) {
  if (path == "/big") return {200, std::string(1 << 20, 'x')};
  if (path != "/metrics") return {404, "no\n"};
  return {200, "railhead_x 1\n"};
}

class HttpEndpointTest : public testing::Test {
 protected:
  void start(std::chrono::milliseconds deadline = HttpEndpoint::kDeadline) {
    auto started = HttpEndpoint::start({IpAddress::v4(0x7f000001), 0}, answer, deadline);
    ASSERT_TRUE(started.has_value()) << started.error().message;
    endpoint_ = std::move(*started);
  }
  os::UniqueFd connect() const {
    os::UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(endpoint_->address().port);
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&in), sizeof in), 0);
    return fd;
  }
  static void say(const os::UniqueFd& fd, std::string_view text) {
    EXPECT_EQ(::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }
  // Everything until the other side closes; "(late)" when it does not.
  static std::string hear(const os::UniqueFd& fd) {
    std::string heard;
    char buffer[65536];
    for (;;) {
      pollfd ready{fd.get(), POLLIN, 0};
      if (::poll(&ready, 1, kPatienceMs) <= 0) return heard + "(late)";
      const ssize_t count = ::recv(fd.get(), buffer, sizeof buffer, 0);
      if (count <= 0) return heard;
      heard.append(buffer, static_cast<std::size_t>(count));
    }
  }
  std::string ask(std::string_view text) const {
    const auto fd = connect();
    say(fd, text);
    return hear(fd);
  }

  std::unique_ptr<HttpEndpoint> endpoint_;
};

TEST_F(HttpEndpointTest, AnswersAndCloses) {
  start();
  const std::string heard = ask("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_THAT(heard, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(heard, HasSubstr("Content-Length: 13\r\n"));
  EXPECT_THAT(heard, testing::EndsWith("\r\n\r\nrailhead_x 1\n"));
  EXPECT_THAT(ask("HEAD /metrics HTTP/1.1\r\n\r\n"), testing::EndsWith("\r\n\r\n"));
  EXPECT_THAT(ask("GET /other HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 404 Not Found\r\n"));
}

TEST_F(HttpEndpointTest, RefusesGarbageWithAnAnswer) {
  start();
  EXPECT_THAT(ask(std::string("\x16\x03\x01\x00", 4)), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(ask("DELETE / HTTP/1.1\r\n\r\n"), HasSubstr("Allow: GET, HEAD\r\n"));
  // More than is read before the refusal: the answer still arrives.
  EXPECT_THAT(ask("GET /" + std::string(40000, 'a')), StartsWith("HTTP/1.1 431 "));
}

TEST_F(HttpEndpointTest, ARequestMayComeInPieces) {
  start();
  const auto fd = connect();
  for (const char c : std::string("GET /metrics HTTP/1.1\r\n\r\n")) say(fd, std::string(1, c));
  EXPECT_THAT(hear(fd), StartsWith("HTTP/1.1 200 OK\r\n"));
}

TEST_F(HttpEndpointTest, SlowClientsHoldNobodyUp) {
  start(std::chrono::minutes(5));
  std::vector<os::UniqueFd> slow;
  for (std::size_t i = 0; i < HttpEndpoint::kMaxConnections * 2; ++i) {
    slow.push_back(connect());
    say(slow.back(), i % 2 == 0 ? "GET /met" : "GET /big HTTP/1.1\r\n\r\n");  // and reads nothing
  }
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(ask("GET /metrics HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 200 OK\r\n"));
  }
}

TEST_F(HttpEndpointTest, WhoDoesNotFinishIsHungUpOn) {
  start(std::chrono::milliseconds(50));
  const auto silent = connect();
  EXPECT_EQ(hear(silent), "");
  const auto half = connect();
  say(half, "GET /metrics HTTP/1.1\r\n");
  EXPECT_EQ(hear(half), "");
}

TEST_F(HttpEndpointTest, AnAddressInUseIsNamed) {
  start();
  const auto second = HttpEndpoint::start(endpoint_->address(), answer);
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code, ErrorCode::kBusy);
  EXPECT_THAT(second.error().message, HasSubstr(endpoint_->address().toString()));
}

TEST(ListenAddressTest, ReadsBothFamilies) {
  for (const std::string text : {"127.0.0.1:9477", "[::1]:9477", "0.0.0.0:0"}) {
    const auto parsed = ListenAddress::parse(text);
    ASSERT_TRUE(parsed.has_value()) << text;
    EXPECT_EQ(parsed->toString(), text);
  }
  for (const std::string text :
       {"", "9477", ":9477", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "::1:9477",
        "[127.0.0.1]:9477", "localhost:9477", "127.0.0.1:9477x"}) {
    EXPECT_FALSE(ListenAddress::parse(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace railhead::metrics
