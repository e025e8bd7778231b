#include "tests/support/fake_api_server/fake_api_server.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <sstream>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <nlohmann/json.hpp>
#include <sys/socket.h>

namespace railhead::testing_support {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxRequest = 4U << 20;

std::string statusBody(int code, const std::string& reason, const std::string& message) {
  return json{{"kind", "Status"}, {"apiVersion", "v1"}, {"status", "Failure"},
              {"code", code},     {"reason", reason},   {"message", message}}
      .dump();
}

std::string unescaped(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      out += static_cast<char>(std::stoi(text.substr(i + 1, 2), nullptr, 16));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

bool sendAll(int fd, const std::string& data) {
  std::size_t sent = 0;
  while (sent < data.size()) {
    const auto got = ::send(fd, data.data() + sent, data.size() - sent, MSG_NOSIGNAL);
    if (got <= 0) return false;
    sent += static_cast<std::size_t>(got);
  }
  return true;
}

std::string head(int status, const std::string& length) {
  return "HTTP/1.1 " + std::to_string(status) + " x\r\nContent-Type: application/json\r\n" +
         length + "\r\n\r\n";
}

bool sendAnswer(int fd, int status, const std::string& body) {
  return sendAll(fd, head(status, "Content-Length: " + std::to_string(body.size())) + body);
}

bool sendChunk(int fd, const std::string& data) {
  std::ostringstream size;
  size << std::hex << data.size();
  return sendAll(fd, size.str() + "\r\n" + data + "\r\n");
}

bool peerGone(int fd) {
  char byte = 0;
  const auto got = ::recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got == 0 || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK);
}

}  // namespace

Result<std::unique_ptr<FakeApiServer>> FakeApiServer::start() {
  std::unique_ptr<FakeApiServer> server(new FakeApiServer());
  RAILHEAD_TRY(server->listen());
  return server;
}

Result<void> FakeApiServer::listen() {
  os::UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port_);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* const any = reinterpret_cast<sockaddr*>(&address);
  if (::bind(fd.get(), any, length) != 0 || ::listen(fd.get(), 64) != 0 ||
      ::getsockname(fd.get(), any, &length) != 0)
    return Error::fromErrno(errno, "listen on 127.0.0.1");
  port_ = ntohs(address.sin_port);
  const std::lock_guard lock(mutex_);
  stopping_ = false;
  listener_ = std::move(fd);
  accepting_ = std::thread([this] { accept(); });
  return {};
}

Result<void> FakeApiServer::restart() {
  stop();
  return listen();
}

void FakeApiServer::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    if (listener_) ::shutdown(listener_.get(), SHUT_RDWR);
    for (const int fd : open_) ::shutdown(fd, SHUT_RDWR);
    changed_.notify_all();
  }
  if (accepting_.joinable()) accepting_.join();
  for (auto& thread : serving_) thread.join();
  serving_.clear();
  listener_.reset();
}

void FakeApiServer::accept() {
  for (;;) {
    const int fd = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
    const std::lock_guard lock(mutex_);
    if (fd < 0 || stopping_) {
      if (fd >= 0) ::close(fd);
      return;
    }
    ++accepted_;
    open_.insert(fd);
    serving_.emplace_back([this, fd] { serve(fd); });
  }
}

void FakeApiServer::serve(int fd) {
  std::string buffer;
  Request request;
  while (receive(fd, buffer, request) && answer(fd, request)) request = {};
  const std::lock_guard lock(mutex_);
  open_.erase(fd);
  ::close(fd);
}

bool FakeApiServer::receive(int fd, std::string& buffer, Request& request) {
  const auto more = [&] {
    char piece[8192];
    const auto got = ::recv(fd, piece, sizeof piece, 0);
    if (got > 0) buffer.append(piece, static_cast<std::size_t>(got));
    return got > 0 && buffer.size() <= kMaxRequest;
  };
  while (buffer.find("\r\n\r\n") == std::string::npos) {
    if (!more()) return false;
  }
  const auto end = buffer.find("\r\n\r\n");
  std::istringstream lines(buffer.substr(0, end));
  lines >> request.method >> request.target;
  std::string line;
  std::getline(lines, line);
  while (std::getline(lines, line)) {
    const auto colon = line.find(':');
    if (colon == std::string::npos) return false;
    std::string name = line.substr(0, colon);
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    std::string value = line.substr(std::min(line.size(), colon + 2));
    if (value.ends_with('\r')) value.pop_back();
    request.headers[name] = value;
  }
  const auto length = static_cast<std::size_t>(
      std::strtoul(request.headers["content-length"].c_str(), nullptr, 10));
  while (buffer.size() < end + 4 + length) {
    if (!more()) return false;
  }
  request.body = buffer.substr(end + 4, length);
  buffer.erase(0, end + 4 + length);
  const auto question = request.target.find('?');
  request.path = request.target.substr(0, question);
  if (question == std::string::npos) return true;
  std::istringstream pairs(request.target.substr(question + 1));
  while (std::getline(pairs, line, '&')) {
    const auto equals = line.find('=');
    if (equals != std::string::npos)
      request.query[line.substr(0, equals)] = unescaped(line.substr(equals + 1));
  }
  if (request.query["watch"] == "1") request.method = "WATCH";
  return true;
}

std::optional<ApiFault> FakeApiServer::faultFor(const Request& request) {
  for (auto fault = faults_.begin(); fault != faults_.end(); ++fault) {
    if (!fault->method.empty() && fault->method != request.method) continue;
    if (request.target.find(fault->path) == std::string::npos) continue;
    const ApiFault found = *fault;
    if (fault->times > 0 && --fault->times == 0) faults_.erase(fault);
    return found;
  }
  return std::nullopt;
}

void FakeApiServer::hold(int fd, std::unique_lock<std::mutex>& lock) {
  const int epoch = faultEpoch_;
  while (!stopping_ && epoch == faultEpoch_ && !peerGone(fd))
    changed_.wait_for(lock, std::chrono::milliseconds(20));
}

bool FakeApiServer::answer(int fd, const Request& request) {
  std::unique_lock lock(mutex_);
  seen_.push_back(request.method + " " + request.target);
  changed_.notify_all();
  const auto fault = faultFor(request);
  const auto kind = fault ? std::optional(fault->kind) : std::nullopt;
  if (kind == ApiFault::Kind::kHang) hold(fd, lock);
  if (kind == ApiFault::Kind::kHang || kind == ApiFault::Kind::kClose) return false;
  if (kind == ApiFault::Kind::kStatus) {
    const std::string body =
        fault->body.empty() ? statusBody(fault->status, "Injected", "injected fault") : fault->body;
    return sendAnswer(fd, fault->status, body);
  }
  if (kind == ApiFault::Kind::kBody) return sendAnswer(fd, 200, fault->body);
  if (!token_.empty()) {
    const auto given = request.headers.find("authorization");
    if (given == request.headers.end() || given->second != "Bearer " + token_)
      return sendAnswer(fd, 401, statusBody(401, "Unauthorized", "Unauthorized"));
  }
  if (const auto told = discovery(request.path)) return sendAnswer(fd, 200, *told);
  const auto place = placeOf(request.path);
  if (!place || kinds_.count(place->kind) == 0) return sendAnswer(fd, 404, "404 page not found\n");
  if (request.method == "WATCH" && kind != ApiFault::Kind::kTruncate) {
    watch(fd, request, *place, lock);
    return false;
  }
  const Answer done = carryOut(request, *place);
  changed_.notify_all();
  if (kind == ApiFault::Kind::kNoReply) return false;
  if (kind == ApiFault::Kind::kTruncate) {
    sendAll(fd, head(done.status, "Content-Length: " + std::to_string(done.body.size())) +
                    done.body.substr(0, done.body.size() / 2));
    return false;
  }
  return sendAnswer(fd, done.status, done.body);
}

std::optional<FakeApiServer::Place> FakeApiServer::placeOf(const std::string& path) const {
  std::vector<std::string> parts;
  std::istringstream pieces(path);
  for (std::string piece; std::getline(pieces, piece, '/');) {
    if (!piece.empty()) parts.push_back(piece);
  }
  const std::size_t rootParts = !parts.empty() && parts[0] == "api" ? 2 : 3;
  if (parts.size() <= rootParts) return std::nullopt;
  Place place;
  for (std::size_t i = 0; i < rootParts; ++i) place.kind += "/" + parts[i];
  parts.erase(parts.begin(), parts.begin() + static_cast<std::ptrdiff_t>(rootParts));
  if (parts[0] == "namespaces" && parts.size() > 2) {
    place.podNamespace = parts[1];
    parts.erase(parts.begin(), parts.begin() + 2);
  }
  place.kind += "/" + parts[0];
  if (parts.size() > 1) place.name = parts[1];
  if (parts.size() > 2) place.subresource = parts[2];
  return place;
}

FakeApiServer::Answer FakeApiServer::carryOut(const Request& request, const Place& place) {
  if (request.method == "POST" && place.name.empty()) return create(request, place);
  if (request.method == "GET" && place.name.empty()) return list(request, place);
  const std::string key = place.key();
  const auto found = objects_.find(key);
  if (found == objects_.end())
    return {404, statusBody(404, "NotFound", "\"" + place.name + "\" not found")};
  if (request.method == "GET") return {200, found->second};
  if (request.method == "PATCH") return patch(request, key);
  return {405, statusBody(405, "MethodNotAllowed", request.method)};
}

FakeApiServer::Answer FakeApiServer::list(const Request& request, const Place& place) {
  const auto query = [&](const char* key) {
    const auto found = request.query.find(key);
    return found == request.query.end() ? std::string() : found->second;
  };
  const std::string next = query("continue");  // "version/last key"
  std::uint64_t version = version_;
  std::string after;
  if (!next.empty()) {
    version = std::stoull(next);
    after = next.substr(next.find('/') + 1);
    if (version <= forgotten_) return {410, statusBody(410, "Expired", "the list is too old")};
  }
  const std::string prefix =
      place.kind + "|" + (place.podNamespace.empty() ? "" : place.podNamespace + "|");
  const std::size_t limit = query("limit").empty() ? 100000 : std::stoul(query("limit"));
  json body{{"kind", "List"}, {"metadata", {{"resourceVersion", std::to_string(version)}}}};
  body["items"] = json::array();
  std::string last;
  for (const auto& [key, object] : objects_) {
    if (!key.starts_with(prefix) || key <= after) continue;
    if (body["items"].size() == limit) {
      body["metadata"]["continue"] = std::to_string(version) + "/" + last;
      break;
    }
    body["items"].push_back(json::parse(object));
    last = key;
  }
  return {200, body.dump()};
}

FakeApiServer::Answer FakeApiServer::create(const Request& request, const Place& place) {
  json object = json::parse(request.body, nullptr, false);
  if (!object.is_object() || !object["metadata"]["name"].is_string())
    return {422, statusBody(422, "Invalid", "metadata.name is missing")};
  Place named = place;
  named.name = object["metadata"]["name"];
  const std::string key = named.key();
  if (objects_.count(key) != 0)
    return {409, statusBody(409, "AlreadyExists", "\"" + named.name + "\" already exists")};
  return {201, store(key, named, request.body, "ADDED")};
}

FakeApiServer::Answer FakeApiServer::patch(const Request& request, const std::string& key) {
  json object = json::parse(objects_[key]);
  const json changes = json::parse(request.body, nullptr, false);
  if (!changes.is_object()) return {400, statusBody(400, "BadRequest", "the patch is no object")};
  const json before = object["metadata"];
  object.merge_patch(changes);
  if (object["metadata"]["resourceVersion"] != before["resourceVersion"])
    return {409, statusBody(409, "Conflict", "the object has been modified")};
  if (object["metadata"]["uid"] != before["uid"])
    return {409, statusBody(409, "Conflict", "the UID in the precondition does not match")};
  return {200, store(key, *placeOf(request.path), object.dump(), "MODIFIED")};
}

std::string FakeApiServer::store(const std::string& key, const Place& place, std::string text,
                                 const char* type) {
  json object = json::parse(text);
  json& metadata = object["metadata"];
  metadata["name"] = place.name;
  if (!place.podNamespace.empty()) metadata["namespace"] = place.podNamespace;
  metadata["resourceVersion"] = std::to_string(++version_);
  if (!metadata.contains("uid")) metadata["uid"] = "uid-" + std::to_string(version_);
  objects_[key] = object.dump();
  history_.push_back({version_, place.kind, place.podNamespace,
                      json{{"type", type}, {"object", object}}.dump() + "\n"});
  changed_.notify_all();
  return objects_[key];
}

void FakeApiServer::watch(int fd, const Request& request, const Place& place,
                          std::unique_lock<std::mutex>& lock) {
  const auto number = [&](const char* key) {
    const auto found = request.query.find(key);
    return found == request.query.end() ? 0ULL : std::strtoull(found->second.c_str(), nullptr, 10);
  };
  const auto from = number("resourceVersion");
  if (!sendAll(fd, head(200, "Transfer-Encoding: chunked"))) return;
  if (from <= forgotten_) {
    const json gone{
        {"type", "ERROR"},
        {"object", json::parse(statusBody(410, "Expired", "too old resource version"))}};
    sendChunk(fd, gone.dump() + "\n");
    sendAll(fd, "0\r\n\r\n");
    return;
  }
  const int epoch = watchEpoch_;
  const auto end =
      std::chrono::steady_clock::now() + std::chrono::seconds(number("timeoutSeconds"));
  const auto all = [&] { return dropped_ + history_.size(); };
  const auto isOld = [&](const Change& change) {
    return change.version != 0 && change.version <= from;
  };
  std::size_t next = dropped_;
  while (next < all() && isOld(history_[next - dropped_])) ++next;
  ++watches_;
  changed_.notify_all();
  const auto goesOn = [&] {
    return !stopping_ && epoch == watchEpoch_ && std::chrono::steady_clock::now() < end &&
           !peerGone(fd);
  };
  do {
    next = std::max(next, dropped_);
    for (; next < all(); ++next) {
      const Change& change = history_[next - dropped_];
      const bool ours = change.kind.empty() ||
                        (change.kind == place.kind &&
                         (place.podNamespace.empty() || place.podNamespace == change.podNamespace));
      if (ours && !sendChunk(fd, change.line)) break;
    }
    if (goesOn()) changed_.wait_for(lock, std::chrono::milliseconds(20));
  } while (goesOn());
  --watches_;
  changed_.notify_all();
  sendAll(fd, "0\r\n\r\n");
}

}  // namespace railhead::testing_support
