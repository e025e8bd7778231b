// One HTTP/1.1 request and its answer, with a deadline, bounded, cancellable. Private to
// src/kube/api.
#pragma once

#include "src/base/result.h"
#include "src/kube/api/cancel.h"

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::kube {

class CurlLibrary;

struct HttpCall {
  std::string method = "GET";
  std::string url;
  std::string token;  // bearer token; empty: none
  std::string caPem;  // certificates to trust; empty: the machine's
  std::string body;   // with contentType
  std::string contentType;
  std::chrono::milliseconds connectDeadline{5000};
  std::chrono::milliseconds deadline{10000};
  std::size_t maxBody = 1U << 20;
  // Takes the body of a 2xx answer as it comes; without it, HttpResponse::body does. Its Error ends
  // the call and is the result.
  std::function<Result<void>(std::string_view)> sink;
};

struct HttpResponse {
  int status = 0;
  std::string body;  // of a status that is not 2xx, or without a sink
};

// Keeps connections for the next call. Thread-safe; calls run beside each other. Redirects are not
// followed and no proxy is asked. Cancelling ends a call at once, unless a host name is being
// looked up, which takes as long as the resolver's timeout.
class HttpClient {
 public:
  explicit HttpClient(std::shared_ptr<CurlLibrary> curl);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // kUnavailable, kDeadlineExceeded, kExhausted (a longer body), kPermissionDenied (the server's
  // certificate), or the sink's.
  Result<HttpResponse> call(const HttpCall& call, const Cancel& cancel);

 private:
  struct Session;  // a curl handle with its connections
  std::unique_ptr<Session> take();
  void giveBack(std::unique_ptr<Session> session);

  static constexpr std::size_t kMaxIdle = 3;
  const std::shared_ptr<CurlLibrary> curl_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Session>> idle_;
};

}  // namespace railhead::kube
