#include "src/kube/api/http_client.h"

#include "src/base/text.h"
#include "src/kube/api/curl_library.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace railhead::kube {
namespace {

constexpr std::size_t kMaxErrorBody = 64U << 10;
constexpr std::chrono::milliseconds kLongestPoll{1000};

// What the callbacks of one call fill.
struct Receiver {
  CurlLibrary& curl;
  CURL* easy;
  const HttpCall& call;
  HttpResponse response;
  std::optional<Error> failure;

  bool take(std::string_view data) {
    long status = 0;
    curl.easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    const bool good = status >= 200 && status < 300;
    if (good && call.sink) {
      auto taken = call.sink(data);
      if (!taken.has_value()) failure = std::move(taken).error();
      return !failure.has_value();
    }
    const std::size_t most = good ? call.maxBody : std::min(call.maxBody, kMaxErrorBody);
    if (response.body.size() + data.size() > most) {
      // The status alone tells what a long error is about.
      if (!good) return true;
      failure = Error(ErrorCode::kExhausted,
                      "the answer is longer than the " + std::to_string(most) + " bytes allowed");
      return false;
    }
    response.body += data;
    return true;
  }
};

std::size_t onBody(char* data, std::size_t size, std::size_t count, void* receiver) {
  const std::size_t bytes = size * count;
  return static_cast<Receiver*>(receiver)->take({data, bytes}) ? bytes : 0;
}

// The request's headers; freed with it.
class Headers {
 public:
  explicit Headers(CurlLibrary& curl) : curl_(curl) {}
  ~Headers() { curl_.slist_free_all(list_); }
  Headers(const Headers&) = delete;
  Headers& operator=(const Headers&) = delete;
  void add(const std::string& line) { list_ = curl_.slist_append(list_, line.c_str()); }
  curl_slist* list() const { return list_; }

 private:
  CurlLibrary& curl_;
  curl_slist* list_ = nullptr;
};

Error transferError(CurlLibrary& curl, CURLcode code, const char* detail) {
  const std::string text = detail[0] != '\0' ? detail : curl.easy_strerror(code);
  switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
      return {ErrorCode::kDeadlineExceeded, text};
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
      return {ErrorCode::kPermissionDenied, text,
              "check that the CA file is the one that signed the API server's certificate"};
    default:
      return {ErrorCode::kUnavailable, text};
  }
}

}  // namespace

struct HttpClient::Session {
  explicit Session(CurlLibrary& library)
      : curl(library), multi(library.multi_init()), easy(library.easy_init()) {}
  ~Session() {
    if (easy != nullptr) curl.easy_cleanup(easy);
    if (multi != nullptr) curl.multi_cleanup(multi);
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  void prepare(const HttpCall& call, Receiver& receiver, Headers& headers);
  Result<HttpResponse> run(const HttpCall& call, Receiver& receiver, const Cancel& cancel);
  std::optional<CURLcode> outcome();

  CurlLibrary& curl;
  CURLM* multi;
  CURL* easy;
  char detail[CURL_ERROR_SIZE] = {};
};

void HttpClient::Session::prepare(const HttpCall& call, Receiver& receiver, Headers& headers) {
  const auto set = [this](CURLoption option, auto value) { curl.easy_setopt(easy, option, value); };
  curl.easy_reset(easy);  // keeps connections
  detail[0] = '\0';
  set(CURLOPT_ERRORBUFFER, &detail[0]);
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_URL, call.url.c_str());
  set(CURLOPT_PROXY, "");
  set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  set(CURLOPT_CUSTOMREQUEST, call.method.c_str());
  set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(call.connectDeadline.count()));
  set(CURLOPT_TIMEOUT_MS, static_cast<long>(call.deadline.count()));
  set(CURLOPT_TCP_KEEPALIVE, 1L);
  set(CURLOPT_TCP_KEEPIDLE, 30L);
  set(CURLOPT_TCP_KEEPINTVL, 10L);
  set(CURLOPT_WRITEFUNCTION, &onBody);
  set(CURLOPT_WRITEDATA, &receiver);
  if (!call.caPem.empty()) {
    // Handed over as bytes: a CA that was replaced on disk holds for the next connection.
    curl_blob blob{const_cast<char*>(call.caPem.data()), call.caPem.size(), CURL_BLOB_COPY};
    set(CURLOPT_CAINFO_BLOB, &blob);
  }
  headers.add("Accept: application/json");
  headers.add("Expect:");
  if (!call.token.empty()) headers.add("Authorization: Bearer " + call.token);
  if (!call.contentType.empty()) {
    headers.add("Content-Type: " + call.contentType);
    set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(call.body.size()));
    set(CURLOPT_POSTFIELDS, call.body.data());
  }
  set(CURLOPT_HTTPHEADER, headers.list());
}

std::optional<CURLcode> HttpClient::Session::outcome() {
  int left = 0;
  while (const CURLMsg* message = curl.multi_info_read(multi, &left)) {
    if (message->msg == CURLMSG_DONE) return message->data.result;
  }
  return std::nullopt;
}

Result<HttpResponse> HttpClient::Session::run(const HttpCall& call, Receiver& receiver,
                                              const Cancel& cancel) {
  const auto end = std::chrono::steady_clock::now() + call.deadline;
  for (int running = 1; running > 0;) {
    const CURLMcode done = curl.multi_perform(multi, &running);
    if (done != CURLM_OK) return Error(ErrorCode::kUnavailable, curl.multi_strerror(done));
    if (running == 0) break;
    if (cancel.cancelled()) return Error(ErrorCode::kUnavailable, "the call was cancelled");
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    if (left.count() <= 0) {
      return Error(ErrorCode::kDeadlineExceeded,
                   "no answer within " + std::to_string(call.deadline.count()) + " ms");
    }
    curl_waitfd stop{cancel.fd(), CURL_WAIT_POLLIN, 0};
    curl.multi_poll(multi, &stop, 1, static_cast<int>(std::min(left, kLongestPoll).count()),
                    nullptr);
  }
  const auto code = outcome().value_or(CURLE_RECV_ERROR);
  if (receiver.failure) return std::move(*receiver.failure);
  if (code != CURLE_OK) return transferError(curl, code, detail);
  long status = 0;
  curl.easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
  receiver.response.status = static_cast<int>(status);
  return std::move(receiver.response);
}

HttpClient::HttpClient(std::shared_ptr<CurlLibrary> curl) : curl_(std::move(curl)) {}
HttpClient::~HttpClient() = default;

std::unique_ptr<HttpClient::Session> HttpClient::take() {
  const std::lock_guard lock(mutex_);
  if (idle_.empty()) return std::make_unique<Session>(*curl_);
  auto session = std::move(idle_.back());
  idle_.pop_back();
  return session;
}

void HttpClient::giveBack(std::unique_ptr<Session> session) {
  const std::lock_guard lock(mutex_);
  if (idle_.size() < kMaxIdle) idle_.push_back(std::move(session));
}

Result<HttpResponse> HttpClient::call(const HttpCall& call, const Cancel& cancel) {
  auto session = take();
  if (session->easy == nullptr || session->multi == nullptr)
    return Error(ErrorCode::kExhausted, "libcurl has no memory for a call");
  Receiver receiver{*curl_, session->easy, call, {}, {}};
  Headers headers(*curl_);
  session->prepare(call, receiver, headers);
  if (curl_->multi_add_handle(session->multi, session->easy) != CURLM_OK)
    return Error(ErrorCode::kExhausted, "libcurl takes no more calls");
  auto response = session->run(call, receiver, cancel);
  curl_->multi_remove_handle(session->multi, session->easy);
  // Nothing of this call is left in it: the next begins with a reset.
  curl_->easy_reset(session->easy);
  giveBack(std::move(session));
  return response;
}

}  // namespace railhead::kube
