#include "lab/keeper/qmp.h"

#include <nlohmann/json.hpp>

namespace railhead::lab {

Result<std::unique_ptr<Qmp>> Qmp::open(EventLoop& loop, os::UniqueFd fd) {
  std::unique_ptr<Qmp> qmp(new Qmp(loop));
  Qmp* raw = qmp.get();
  StreamChannel::Events events;
  events.data = [raw](std::string_view bytes) { raw->onData(bytes); };
  events.closed = [raw] {
    raw->closed_ = true;
    while (!raw->waiting_.empty()) {
      raw->settle(raw->waiting_.begin()->first,
                  Error(ErrorCode::kUnavailable, "QEMU has ended before it answered"));
    }
  };
  RAILHEAD_TRY_ASSIGN(qmp->channel_, StreamChannel::open(loop, std::move(fd), std::move(events)));
  qmp->send("qmp_capabilities", "{}", [](const Result<void>&) {});
  return qmp;
}

Qmp::~Qmp() {
  for (const auto& [id, entry] : waiting_) loop_.cancel(entry.timer);
}

void Qmp::setLink(const std::string& device, bool up, Answer answer) {
  send("set_link", nlohmann::json{{"name", device}, {"up", up}}.dump(), std::move(answer));
}

void Qmp::send(const std::string& command, const std::string& argumentsJson, Answer answer) {
  const std::uint64_t id = nextId_++;
  if (closed_) {
    loop_.after(std::chrono::milliseconds(0), [answer = std::move(answer)] {
      answer(Error(ErrorCode::kUnavailable, "QEMU has ended"));
    });
    return;
  }
  const auto timer = loop_.after(kDeadline, [this, id, command] {
    settle(id, Error(ErrorCode::kDeadlineExceeded, "QEMU did not answer " + command));
  });
  waiting_.emplace(id, Waiting{std::move(answer), timer});
  channel_->write(R"({"execute":")" + command + R"(","arguments":)" + argumentsJson + R"(,"id":)" +
                  std::to_string(id) + "}\n");
}

void Qmp::onData(std::string_view bytes) {
  buffer_.append(bytes);
  std::size_t start = 0;
  for (;;) {
    const auto end = buffer_.find('\n', start);
    if (end == std::string::npos) break;
    onLine(std::string_view(buffer_).substr(start, end - start));
    start = end + 1;
  }
  buffer_.erase(0, start);
  if (buffer_.size() > kMaxLine) buffer_.clear();  // the command it belonged to times out
}

void Qmp::onLine(std::string_view line) {
  const auto json = nlohmann::json::parse(line, nullptr, false);
  // Greetings and events carry no id.
  if (!json.is_object() || !json.contains("id") || !json["id"].is_number_unsigned()) return;
  const auto id = json["id"].get<std::uint64_t>();
  if (json.contains("return")) return settle(id, {});
  std::string why = "QEMU refused";
  if (const auto& error = json.value("error", nlohmann::json()); error.is_object()) {
    const auto reason = error.find("desc");
    if (reason != error.end() && reason->is_string()) why += ": " + reason->get<std::string>();
  }
  settle(id, Error(ErrorCode::kInternal, why));
}

void Qmp::settle(std::uint64_t id, Result<void> result) {
  const auto found = waiting_.find(id);
  if (found == waiting_.end()) return;
  const Waiting entry = std::move(found->second);
  waiting_.erase(found);
  loop_.cancel(entry.timer);
  entry.answer(std::move(result));
}

}  // namespace railhead::lab
