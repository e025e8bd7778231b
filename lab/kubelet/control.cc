#include "lab/kubelet/control.h"

#include "src/base/text.h"
#include "src/os/unix_socket.h"

#include <array>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace railhead::lab {
namespace {

using nlohmann::json;

constexpr int kThreads = 4;
constexpr std::size_t kMaxFrame = 8 << 20;
constexpr std::chrono::seconds kRequestDeadline{5};
// A pod's CNI calls and their undoing may each take their own deadline.
constexpr std::chrono::seconds kAnswerDeadline{300};
constexpr int kMaxWait = 600;  // seconds

os::Deadline in(std::chrono::seconds wait) { return std::chrono::steady_clock::now() + wait; }

std::string text(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

ErrorCode codeNamed(const std::string& name) {
  for (int i = 0; i <= static_cast<int>(ErrorCode::kInternal); ++i) {
    if (errorCodeName(static_cast<ErrorCode>(i)) == name) return static_cast<ErrorCode>(i);
  }
  return ErrorCode::kInternal;
}

constexpr std::array<std::pair<DeleteMode, const char*>, 3> kModes = {
    {{DeleteMode::kProperly, "properly"},
     {DeleteMode::kWithoutDel, "without-del"},
     {DeleteMode::kNetnsFirst, "netns-first"}}};

Result<std::string> wordOf(const json& request, const char* field) {
  if (!request.is_object() || !request.contains(field) || !request[field].is_string()) {
    return Error(ErrorCode::kInvalidArgument,
                 std::string("request ") + field + ": missing, a text is needed");
  }
  return request[field].get<std::string>();
}

Result<json> doWait(Kubelet& kubelet, const json& request) {
  RAILHEAD_TRY_ASSIGN(const std::string resource, wordOf(request, "resource"));
  const int count = request.value("count", 1);
  const int seconds = std::min(request.value("seconds", 30), kMaxWait);
  std::size_t seen = 0;
  const bool came = kubelet.waitFor(
      [&](const KubeletStatus& status) {
        const auto found = status.resources.find(resource);
        seen = found == status.resources.end() ? 0 : found->second.allocatable;
        return seen >= static_cast<std::size_t>(std::max(count, 0));
      },
      in(std::chrono::seconds(seconds)));
  if (came) return json();
  return Error(ErrorCode::kDeadlineExceeded, std::to_string(count) + " allocatable " + resource +
                                                 " awaited for " + std::to_string(seconds) +
                                                 " s, there are " + std::to_string(seen));
}

Result<json> doDelete(Kubelet& kubelet, const json& request) {
  RAILHEAD_TRY_ASSIGN(const std::string word, wordOf(request, "pod"));
  RAILHEAD_TRY_ASSIGN(const PodName pod, parsePodName(word));
  RAILHEAD_TRY_ASSIGN(const std::string wanted, wordOf(request, "mode"));
  for (const auto& [mode, name] : kModes) {
    if (wanted != name) continue;
    RAILHEAD_TRY(kubelet.deletePod(pod, mode));
    return json();
  }
  return Error(ErrorCode::kInvalidArgument, "request mode: unknown: " + inQuotes(wanted));
}

Result<json> doEnter(Kubelet& kubelet, const json& request) {
  RAILHEAD_TRY_ASSIGN(const std::string word, wordOf(request, "pod"));
  RAILHEAD_TRY_ASSIGN(const PodName name, parsePodName(word));
  RAILHEAD_TRY_ASSIGN(const Pod pod, kubelet.findPod(name));
  return json{{"netns", pod.netns},
              {"process", kubelet.runtime().process(pod)},
              {"environment", podEnvironment(pod)},
              {"logFile", kubelet.logFile(name)},
              {"marked", kubelet.runtime().marksLogLines()}};
}

Result<json> perform(Kubelet& kubelet, const json& request) {
  RAILHEAD_TRY_ASSIGN(const std::string what, wordOf(request, "do"));
  if (what == "run-pod") {
    RAILHEAD_TRY_ASSIGN(const std::string written, wordOf(request, "spec"));
    RAILHEAD_TRY_ASSIGN(const PodSpec spec, parsePodSpec(written));
    RAILHEAD_TRY_ASSIGN(const Pod pod, kubelet.runPod(spec));
    return json(podToJson(pod));
  }
  if (what == "delete-pod") return doDelete(kubelet, request);
  if (what == "status") return json(statusToJson(kubelet.status()));
  if (what == "wait") return doWait(kubelet, request);
  if (what == "enter") return doEnter(kubelet, request);
  if (what == "clean-up") {
    RAILHEAD_TRY(kubelet.cleanUp());
    return json();
  }
  if (what == "restart") {
    RAILHEAD_TRY(kubelet.restart());
    return json();
  }
  return Error(ErrorCode::kInvalidArgument, "request do: unknown: " + inQuotes(what));
}

// A field of the wrong type makes the JSON library throw.
Result<json> performSafely(Kubelet& kubelet, const std::string& frame) {
  try {
    const json request = json::parse(frame);
    return perform(kubelet, request);
  } catch (const json::exception& wrong) {
    return Error(ErrorCode::kInvalidArgument, std::string("request: ") + wrong.what());
  }
}

std::string answerTo(Kubelet& kubelet, const std::string& frame) {
  const Result<json> result = performSafely(kubelet, frame);
  if (result.has_value()) return text({{"value", *result}});
  const Error& error = result.error();
  return text({{"error",
                {{"code", errorCodeName(error.code)},
                 {"message", error.message},
                 {"remedy", error.remedy}}}});
}

Result<json> ask(const std::string& path, const json& request, std::chrono::seconds patience) {
  auto connection = os::connectUnix(path, in(kRequestDeadline));
  if (!connection.has_value()) {
    return std::move(connection)
        .error()
        .addContext("kubelet stand-in")
        .withRemedy("start it: railhead-lab-kubelet serve");
  }
  RAILHEAD_TRY(os::sendFrame(connection->get(), text(request), in(kRequestDeadline)));
  RAILHEAD_TRY_ASSIGN(const std::string frame,
                      os::receiveFrame(connection->get(), in(patience), kMaxFrame));
  json answer = json::parse(frame, nullptr, false);
  if (answer.is_object() && answer.contains("value")) return std::move(answer["value"]);
  if (answer.is_object() && answer.contains("error") && answer["error"].is_object()) {
    const json& error = answer["error"];
    return Error(codeNamed(error.value("code", "internal")), error.value("message", "no message"),
                 error.value("remedy", ""));
  }
  return Error(ErrorCode::kCorrupt, "kubelet stand-in: its answer is not understood");
}

}  // namespace

ControlServer::ControlServer(os::UnixListener listener, os::UniqueFd stop, Kubelet& kubelet)
    : listener_(std::move(listener)), stop_(std::move(stop)), kubelet_(kubelet) {}

Result<std::unique_ptr<ControlServer>> ControlServer::start(const std::string& socketPath,
                                                            Kubelet& kubelet) {
  RAILHEAD_TRY_ASSIGN(auto listener,
                      os::UnixListener::open(socketPath).addContext("kubelet stand-in"));
  os::UniqueFd stop(::eventfd(0, EFD_CLOEXEC));
  if (!stop) return Error::fromErrno(errno, "make an event descriptor");
  auto server = std::unique_ptr<ControlServer>(
      new ControlServer(std::move(listener), std::move(stop), kubelet));
  for (int i = 0; i < kThreads; ++i) {
    server->threads_.emplace_back([raw = server.get()] { raw->serve(); });
  }
  return server;
}

ControlServer::~ControlServer() {
  ::eventfd_write(stop_.get(), 1);
  for (auto& thread : threads_) thread.join();
}

void ControlServer::serve() {
  for (;;) {
    std::array<pollfd, 2> fds{{{stop_.get(), POLLIN, 0}, {listener_.fd(), POLLIN, 0}}};
    ::poll(fds.data(), fds.size(), -1);
    if (fds[0].revents != 0) return;
    if (fds[1].revents == 0) continue;
    const auto connection = listener_.accept();
    if (connection.has_value() && *connection) answerOne((*connection)->get());
  }
}

void ControlServer::answerOne(int connection) {
  const auto frame = os::receiveFrame(connection, in(kRequestDeadline));
  if (!frame.has_value()) return;  // nobody is there to tell
  [[maybe_unused]] const auto sent =
      os::sendFrame(connection, answerTo(kubelet_, *frame), in(kRequestDeadline));
}

Result<std::string> ControlClient::runPod(const std::string& specJson) const {
  RAILHEAD_TRY_ASSIGN(const json answer,
                      ask(socketPath_, {{"do", "run-pod"}, {"spec", specJson}}, kAnswerDeadline));
  return answer.get<std::string>();
}

Result<void> ControlClient::deletePod(const std::string& pod, DeleteMode mode) const {
  const char* word = kModes[0].second;
  for (const auto& [one, name] : kModes) {
    if (one == mode) word = name;
  }
  RAILHEAD_TRY(
      ask(socketPath_, {{"do", "delete-pod"}, {"pod", pod}, {"mode", word}}, kAnswerDeadline));
  return {};
}

Result<void> ControlClient::cleanUp() const {
  RAILHEAD_TRY(ask(socketPath_, {{"do", "clean-up"}}, kAnswerDeadline));
  return {};
}

Result<std::string> ControlClient::status() const {
  RAILHEAD_TRY_ASSIGN(const json answer, ask(socketPath_, {{"do", "status"}}, kAnswerDeadline));
  return answer.get<std::string>();
}

Result<void> ControlClient::restart() const {
  RAILHEAD_TRY(ask(socketPath_, {{"do", "restart"}}, kAnswerDeadline));
  return {};
}

Result<void> ControlClient::waitAllocatable(const std::string& resource, int count,
                                            std::chrono::seconds wait) const {
  const json request = {
      {"do", "wait"}, {"resource", resource}, {"count", count}, {"seconds", wait.count()}};
  RAILHEAD_TRY(ask(socketPath_, request, wait + kRequestDeadline));
  return {};
}

Result<ControlClient::Door> ControlClient::enter(const std::string& pod) const {
  RAILHEAD_TRY_ASSIGN(const json answer,
                      ask(socketPath_, {{"do", "enter"}, {"pod", pod}}, kAnswerDeadline));
  return Door{answer.at("netns"), answer.at("process"), answer.at("environment"),
              answer.at("logFile"), answer.at("marked")};
}

}  // namespace railhead::lab
