// What the fake promises, asked over a bare socket: no line of the client under test.
#include "tests/support/fake_api_server/fake_api_server.h"

#include <cstdlib>
#include <memory>
#include <string>

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace railhead::testing_support {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr const char* kRoot = "/apis/k8s.cni.cncf.io/v1";
constexpr const char* kPlural = "network-attachment-definitions";
const std::string kAll = std::string(kRoot) + "/" + kPlural;
const std::string kDefault = std::string(kRoot) + "/namespaces/default/" + kPlural;

class FakeApiServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    server = std::move(*FakeApiServer::start());
    server->addKind(kRoot, kPlural);
  }

  os::UniqueFd connect() const {
    os::UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    const std::string url = server->url();
    address.sin_port = htons(static_cast<std::uint16_t>(std::atoi(&url[url.rfind(':') + 1])));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const timeval patience{20, 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) fd.reset();
    return fd;
  }

  static void send(const os::UniqueFd& fd, const std::string& method, const std::string& target,
                   const std::string& body = {}, const std::string& header = {}) {
    const std::string text = method + " " + target + " HTTP/1.1\r\nHost: x\r\n" + header +
                             "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
    ::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL);
  }

  // Until `until` has come, or the server closes.
  static std::string receive(const os::UniqueFd& fd, const std::string& until) {
    std::string all;
    char piece[4096];
    while (all.find(until) == std::string::npos) {
      const auto got = ::recv(fd.get(), piece, sizeof piece, 0);
      if (got <= 0) break;
      all.append(piece, static_cast<std::size_t>(got));
    }
    return all;
  }

  std::string ask(const std::string& method, const std::string& target,
                  const std::string& body = {}, const std::string& header = {}) const {
    const auto fd = connect();
    send(fd, method, target, body, header);
    ::shutdown(fd.get(), SHUT_WR);
    return receive(fd, "no such text");
  }

  std::unique_ptr<FakeApiServer> server;
};

TEST_F(FakeApiServerTest, CreatesGetsAndListsObjects) {
  const std::string object = R"({"metadata":{"name":"a"},"spec":{"config":"{}"}})";
  EXPECT_THAT(ask("POST", kDefault, object), StartsWith("HTTP/1.1 201"));
  EXPECT_THAT(ask("POST", kDefault, object), HasSubstr("AlreadyExists"));
  EXPECT_THAT(ask("GET", kDefault + "/a"), HasSubstr(R"("namespace":"default")"));
  EXPECT_THAT(ask("GET", kDefault + "/b"), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(ask("GET", kAll), HasSubstr(R"("resourceVersion":"101")"));
  EXPECT_THAT(ask("POST", kDefault, "no JSON"), StartsWith("HTTP/1.1 422"));
  EXPECT_THAT(server->names(kAll), ElementsAre("a"));
  server->removeKind(kRoot, kPlural);
  EXPECT_THAT(ask("GET", kAll), StartsWith("HTTP/1.1 404"));
}

TEST_F(FakeApiServerTest, ListsInPagesUntilTheHistoryIsForgotten) {
  for (const char* name : {"/a", "/b", "/c"}) server->put(kDefault + name, "{}");
  const std::string first = ask("GET", kAll + "?limit=2");
  EXPECT_THAT(first, HasSubstr(R"("continue":"103/)"));
  EXPECT_THAT(first, Not(HasSubstr(R"("name":"c")")));
  const auto at = first.find("103/");
  std::string next = first.substr(at, first.find('"', at) - at);
  const std::string second = ask("GET", kAll + "?limit=2&continue=" + next);
  EXPECT_THAT(second, HasSubstr(R"("name":"c")"));
  EXPECT_THAT(second, Not(HasSubstr(R"("name":"b")")));
  server->forgetHistory();
  EXPECT_THAT(ask("GET", kAll + "?limit=2&continue=" + next), StartsWith("HTTP/1.1 410"));
}

TEST_F(FakeApiServerTest, PatchesAndRefusesAStaleOne) {
  server->put(kDefault + "/a", R"({"metadata":{"annotations":{"x":"1","y":"2"}}})");
  EXPECT_THAT(ask("PATCH", kDefault + "/a", R"({"metadata":{"annotations":{"x":null}}})"),
              HasSubstr(R"("annotations":{"y":"2"})"));
  EXPECT_THAT(ask("PATCH", kDefault + "/a", R"({"metadata":{"resourceVersion":"1"}})"),
              HasSubstr("Conflict"));
  EXPECT_THAT(ask("PATCH", kDefault + "/a", R"({"metadata":{"uid":"another"}})"),
              HasSubstr("Conflict"));
}

TEST_F(FakeApiServerTest, WatchesFromAVersionOn) {
  server->put(kDefault + "/a", "{}");
  const auto fd = connect();
  send(fd, "GET", kAll + "?watch=1&timeoutSeconds=60&resourceVersion=100");
  EXPECT_THAT(receive(fd, "ADDED"), StartsWith("HTTP/1.1 200"));
  ASSERT_TRUE(server->waitForWatches(1));
  server->bookmark();
  receive(fd, "BOOKMARK");
  server->remove(kDefault + "/a");
  receive(fd, "DELETED");
  server->endWatches();
  receive(fd, "0\r\n\r\n");
  EXPECT_TRUE(server->waitForWatches(0));
  server->forgetHistory();
  EXPECT_THAT(ask("GET", kAll + "?watch=1&timeoutSeconds=60&resourceVersion=101"),
              HasSubstr("\"code\":410"));
}

TEST_F(FakeApiServerTest, FailsAsToldAndOnlySoOften) {
  server->put(kDefault + "/a", "{}");
  server->fail({.method = "GET", .path = "/a", .status = 429});
  EXPECT_THAT(ask("GET", kDefault + "/a"), StartsWith("HTTP/1.1 429"));
  EXPECT_THAT(ask("GET", kDefault + "/a"), StartsWith("HTTP/1.1 200"));
  server->fail({.kind = ApiFault::Kind::kClose});
  EXPECT_EQ(ask("GET", kAll), "");
  server->fail({.kind = ApiFault::Kind::kNoReply, .method = "POST"});
  EXPECT_EQ(ask("POST", kDefault, R"({"metadata":{"name":"b"}})"), "");
  EXPECT_THAT(server->names(kAll), ElementsAre("a", "b"));
  server->fail({.kind = ApiFault::Kind::kTruncate});
  EXPECT_THAT(ask("GET", kAll), Not(HasSubstr("}]")));
  server->fail({.kind = ApiFault::Kind::kHang});
  const auto fd = connect();
  send(fd, "GET", kAll);
  ASSERT_TRUE(server->waitForRequests("GET", kAll, 3));
  server->clearFaults();
  EXPECT_EQ(receive(fd, "x"), "");
  server->requireToken("t");
  EXPECT_THAT(ask("GET", kAll), StartsWith("HTTP/1.1 401"));
  EXPECT_THAT(ask("GET", kAll, "", "Authorization: Bearer t\r\n"), StartsWith("HTTP/1.1 200"));
}

TEST_F(FakeApiServerTest, KeepsItsPortAndObjectsOverARestart) {
  server->put(kDefault + "/a", "{}");
  const std::string url = server->url();
  server->stop();
  EXPECT_FALSE(connect());
  ASSERT_TRUE(server->restart().has_value());
  EXPECT_EQ(server->url(), url);
  EXPECT_THAT(ask("GET", kDefault + "/a"), StartsWith("HTTP/1.1 200"));
}

}  // namespace
}  // namespace railhead::testing_support
