#include "src/metrics/http_request.h"

#include <random>

#include <gtest/gtest.h>

namespace railhead::metrics {
namespace {

constexpr std::size_t kMax = 512;

HttpRequest read(std::string_view text) {
  return readHttpRequest(text, kMax).value_or(HttpRequest{-1, false, "waits"});
}

TEST(HttpRequestTest, ReadsWhatScrapersAndProbesSend) {
  const auto get = read("GET /metrics?x=1 HTTP/1.1\r\nHost: a\r\nUser-Agent: b\r\n\r\n");
  EXPECT_EQ(get.refusal, 0);
  EXPECT_EQ(get.path, "/metrics");
  EXPECT_FALSE(get.head);
  EXPECT_TRUE(read("HEAD /healthz HTTP/1.0\r\n\r\n").head);
}

TEST(HttpRequestTest, WaitsForTheEndOfTheHeaders) {
  const std::string whole = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(readHttpRequest(whole.substr(0, size), kMax).has_value()) << size;
  }
  EXPECT_EQ(read(whole).refusal, 0);
}

TEST(HttpRequestTest, RefusesWhatItDoesNotServe) {
  EXPECT_EQ(read("POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc").refusal, 405);
  EXPECT_EQ(read("GET /metrics HTTP/2.0\r\n\r\n").refusal, 505);
  EXPECT_EQ(read("GET /metrics\r\n\r\n").refusal, 400);
  EXPECT_EQ(read("GET http://other/ HTTP/1.1\r\n\r\n").refusal, 400);
  EXPECT_EQ(read("GET /a b HTTP/1.1\r\n\r\n").refusal, 400);
  EXPECT_EQ(read("GET /\x01 HTTP/1.1\r\n\r\n").refusal, 400);
  EXPECT_EQ(read("\x16\x03\x01\x02").refusal, 400) << "TLS is told at once";
  EXPECT_EQ(read("GET /" + std::string(kMax, 'a')).refusal, 431);
  EXPECT_EQ(read("GET / HTTP/1.1\r\nA: " + std::string(kMax, 'a') + "\r\n\r\n").refusal, 431);
}

TEST(HttpRequestTest, SurvivesAnyBytes) {
  std::mt19937 random(7);
  const std::string words[] = {"GET ",     "/", " HTTP/1.1",         "\r\n",
                               "\r\n\r\n", "?", std::string(1, '\0')};
  for (int i = 0; i < 20000; ++i) {
    std::string text;
    while (text.size() < 40 && random() % 8 != 0) {
      text += random() % 3 == 0 ? std::string(1, static_cast<char>(random())) : words[random() % 7];
    }
    const auto request = readHttpRequest(text, kMax);
    if (request && request->refusal == 0) {
      EXPECT_TRUE(request->path.starts_with('/'));
    }
  }
}

}  // namespace
}  // namespace railhead::metrics
