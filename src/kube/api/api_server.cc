#include "src/kube/api/api_server.h"

#include "src/base/text.h"
#include "src/kube/api/curl_library.h"
#include "src/kube/api/http_client.h"
#include "src/kube/api/request_target.h"
#include "src/kube/api/wire_json.h"

#include <optional>
#include <utility>

namespace railhead::kube {
namespace {

constexpr std::size_t kMaxToken = 16U << 10;
constexpr std::size_t kMaxCa = 256U << 10;

// What a call is about, for its error: the right that a 403 lacks.
struct Purpose {
  std::string verb;      // as RBAC has it
  std::string resource;  // "leases.coordination.k8s.io in namespace kube-system"
};

Purpose purposeOf(std::string verb, const Collection& collection,
                  std::string_view subresource = {}) {
  Collection named = collection;
  if (!subresource.empty()) named.plural += "/" + std::string(subresource);
  return {std::move(verb), named.toString()};
}

Error classed(int status, const std::string& body) {
  const std::string message = "HTTP " + std::to_string(status) + ": " + statusMessage(body);
  switch (status) {
    case 401:
      return {ErrorCode::kPermissionDenied, message,
              "the API server does not know the token: check the token file"};
    case 404:
    case 410:
      return {ErrorCode::kNotFound, message};
    case 409:
      return {statusReason(body) == "AlreadyExists" ? ErrorCode::kAlreadyExists : ErrorCode::kBusy,
              message};
    case 413:
      return {ErrorCode::kExhausted, message};
    case 504:
      return {ErrorCode::kDeadlineExceeded, message};
    default:
      break;
  }
  if (status == 429 || status >= 500) return {ErrorCode::kUnavailable, message};
  return {ErrorCode::kInvalidArgument, message};
}

// The one table from HTTP status to error class.
Error statusError(const Purpose& purpose, const HttpResponse& response) {
  Error error = classed(response.status, response.body);
  if (response.status == 403) {
    error.code = ErrorCode::kPermissionDenied;
    error.remedy = "grant the verb '" + purpose.verb + "' on " + purpose.resource +
                   " to the agent's service account (docs/reference/rbac.md)";
  }
  return error;
}

// Cuts what comes into lines of at most `most` bytes.
class Lines {
 public:
  Lines(std::size_t most, std::function<Result<void>(std::string_view)> handler)
      : most_(most), handler_(std::move(handler)) {}

  Result<void> take(std::string_view data) {
    while (!data.empty()) {
      const auto end = data.find('\n');
      const auto piece = data.substr(0, end);
      if (rest_.size() + piece.size() > most_) {
        return Error(ErrorCode::kExhausted,
                     "an event is longer than the " + std::to_string(most_) + " bytes allowed");
      }
      rest_ += piece;
      if (end == std::string_view::npos) return {};
      data.remove_prefix(end + 1);
      const std::string line = std::exchange(rest_, {});
      if (!trim(line).empty()) RAILHEAD_TRY(handler_(line));
    }
    return {};
  }

 private:
  const std::size_t most_;
  const std::function<Result<void>(std::string_view)> handler_;
  std::string rest_;
};

class HttpApiServer final : public ApiServer {
 public:
  HttpApiServer(ApiServerConfig config, os::Filesystem& files, ApiServerLimits limits,
                std::shared_ptr<CurlLibrary> curl)
      : config_(std::move(config)), files_(files), limits_(limits), http_(std::move(curl)) {}

  Result<std::string> get(const ObjectName& name, const Cancel& cancel) override {
    RAILHEAD_TRY_ASSIGN(const std::string target, objectTarget(name));
    return object({.url = target}, purposeOf("get", name.collection), cancel);
  }

  Result<ObjectList> list(const Collection& collection, const Cancel& cancel) override {
    bool forgotten = false;
    auto found = listOnce(collection, cancel, forgotten);
    if (!found.has_value() && forgotten) found = listOnce(collection, cancel, forgotten);
    return found;
  }

  Result<WatchEnd> watch(const Collection& collection, const std::string& resourceVersion,
                         const EventHandler& handler, const Cancel& cancel) override;

  Result<std::string> create(const Collection& collection, const std::string& content,
                             const Cancel& cancel) override {
    RAILHEAD_TRY_ASSIGN(const std::string target, collectionTarget(collection));
    return object(
        {.method = "POST", .url = target, .body = content, .contentType = "application/json"},
        purposeOf("create", collection), cancel);
  }

  Result<std::string> mergePatch(const ObjectName& name, const std::string& patch,
                                 const Cancel& cancel, std::string_view subresource) override {
    RAILHEAD_TRY_ASSIGN(const std::string target, objectTarget(name, subresource));
    return object({.method = "PATCH",
                   .url = target,
                   .body = patch,
                   .contentType = "application/merge-patch+json"},
                  purposeOf("patch", name.collection, subresource), cancel);
  }

 private:
  Result<ObjectList> listOnce(const Collection& collection, const Cancel& cancel, bool& forgotten);

  // `call.url` is the target on the server.
  Result<HttpResponse> send(HttpCall call, const Purpose& purpose, const Cancel& cancel) {
    call.url.insert(0, config_.url);
    call.connectDeadline = limits_.connectDeadline;
    call.maxBody = limits_.maxBody;
    RAILHEAD_TRY_ASSIGN(call.token, token());
    if (!config_.caFile.empty()) {
      RAILHEAD_TRY_ASSIGN(call.caPem, files_.readFile(config_.caFile, kMaxCa));
    }
    return http_.call(call, cancel)
        .addContext("API server " + config_.url + ", " + purpose.verb + " " + purpose.resource);
  }

  Result<std::string> object(HttpCall call, const Purpose& purpose, const Cancel& cancel) {
    call.deadline = limits_.callDeadline;
    RAILHEAD_TRY_ASSIGN(HttpResponse response, send(std::move(call), purpose, cancel));
    const std::string what = purpose.verb + " " + purpose.resource;
    if (response.status / 100 != 2) return statusError(purpose, response).addContext(what);
    return checkedObject(std::move(response.body)).addContext(what);
  }

  Result<std::string> token() {
    if (config_.tokenFile.empty()) return std::string();
    RAILHEAD_TRY_ASSIGN(const std::string text, files_.readFile(config_.tokenFile, kMaxToken));
    std::string token(trim(text));
    bool good = !token.empty();
    for (const char c : token) good = good && c > ' ' && c < 127;
    if (good) return token;
    return Error(ErrorCode::kInvalidArgument,
                 config_.tokenFile + " holds no token: expected one word of printable characters");
  }

  const ApiServerConfig config_;
  os::Filesystem& files_;
  const ApiServerLimits limits_;
  HttpClient http_;
};

Result<ObjectList> HttpApiServer::listOnce(const Collection& collection, const Cancel& cancel,
                                           bool& forgotten) {
  const Purpose purpose = purposeOf("list", collection);
  const std::string what = "list " + purpose.resource;
  ObjectList all;
  std::size_t bytes = 0;
  std::string next;
  do {
    Query query{{"limit", std::to_string(limits_.pageSize)}};
    if (!next.empty()) query.emplace_back("continue", next);
    HttpCall call;
    RAILHEAD_TRY_ASSIGN(call.url, collectionTarget(collection, query));
    call.deadline = limits_.callDeadline;
    RAILHEAD_TRY_ASSIGN(const HttpResponse response, send(std::move(call), purpose, cancel));
    forgotten = response.status == 410 && !next.empty();
    if (response.status / 100 != 2) return statusError(purpose, response).addContext(what);
    RAILHEAD_TRY_ASSIGN(ListPage page, parseListPage(response.body).addContext(what));
    // An empty page that says "go on" would do so for ever.
    if (page.objects.empty() && !page.continueToken.empty())
      return Error(ErrorCode::kCorrupt, what + ": an empty page that is not the last");
    for (auto& one : page.objects) {
      bytes += one.size();
      all.objects.push_back(std::move(one));
    }
    if (all.objects.size() > limits_.maxObjects || bytes > limits_.maxListBytes) {
      return Error(ErrorCode::kExhausted,
                   what + ": more than the " + std::to_string(limits_.maxObjects) + " objects or " +
                       std::to_string(limits_.maxListBytes) + " bytes allowed");
    }
    all.resourceVersion = page.resourceVersion;
    next = std::move(page.continueToken);
  } while (!next.empty());
  if (all.resourceVersion.empty())
    return Error(ErrorCode::kCorrupt, what + ": the list has no metadata.resourceVersion");
  return all;
}

Result<WatchEnd> HttpApiServer::watch(const Collection& collection,
                                      const std::string& resourceVersion,
                                      const EventHandler& handler, const Cancel& cancel) {
  const Purpose purpose = purposeOf("watch", collection);
  const std::string what = "watch " + purpose.resource;
  HttpCall call;
  RAILHEAD_TRY_ASSIGN(
      call.url, collectionTarget(collection,
                                 {{"watch", "1"},
                                  {"allowWatchBookmarks", "true"},
                                  {"resourceVersion", resourceVersion},
                                  {"timeoutSeconds", std::to_string(limits_.watchTime.count())}}));
  call.deadline = limits_.watchTime + limits_.watchGrace;
  int refused = 0;
  std::string refusal;
  Lines lines(limits_.maxEvent, [&](std::string_view line) -> Result<void> {
    RAILHEAD_TRY_ASSIGN(const WatchLine parsed, parseWatchLine(line));
    if (parsed.event) return handler(*parsed.event);
    refused = parsed.errorStatus;
    refusal = parsed.errorMessage;
    return Error(ErrorCode::kUnavailable, "the server ended the watch");
  });
  call.sink = [&](std::string_view data) { return lines.take(data); };
  auto response = send(std::move(call), purpose, cancel);
  if (refused == 410) return WatchEnd::kExpired;
  if (refused != 0)
    return Error(ErrorCode::kUnavailable,
                 what + ": the server ended it with " + std::to_string(refused) + ": " + refusal);
  if (!response.has_value()) return std::move(response).error();
  if (response->status == 410) return WatchEnd::kExpired;
  if (response->status / 100 != 2) return statusError(purpose, *response).addContext(what);
  return WatchEnd::kClosed;
}

// "https://host:port", or "http://" to this machine.
Result<void> checkUrl(const ApiServerConfig& config) {
  const std::string_view url = config.url;
  const bool encrypted = url.starts_with("https://");
  const auto complain = [&](std::string_view allowed) {
    return Error(ErrorCode::kInvalidArgument,
                 "the API server's URL is " + inQuotes(url) + "; allowed: " + std::string(allowed));
  };
  if (!encrypted && !url.starts_with("http://"))
    return complain("https://HOST:PORT, or http://HOST:PORT");
  const std::string_view host = url.substr(encrypted ? 8 : 7);
  bool good = !host.empty() && url.size() <= 512;
  for (const char c : host) {
    good = good && ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    std::string_view("-._:[]").find(c) != std::string_view::npos);
  }
  if (!good) return complain("a host's name or address and a port after the scheme, no path");
  const bool here = host.starts_with("127.") || host.starts_with("[::1]");
  if (!encrypted && !config.tokenFile.empty() && !here)
    return complain("https://, since a token over http:// can be read on its way");
  return {};
}

}  // namespace

Result<std::unique_ptr<ApiServer>> openApiServer(ApiServerConfig config, os::Filesystem& files,
                                                 ApiServerLimits limits) {
  while (config.url.ends_with('/')) config.url.pop_back();
  RAILHEAD_TRY(checkUrl(config));
  RAILHEAD_TRY_ASSIGN(auto curl, CurlLibrary::open());
  return std::unique_ptr<ApiServer>(
      new HttpApiServer(std::move(config), files, limits, std::move(curl)));
}

}  // namespace railhead::kube
