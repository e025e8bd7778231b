#include "src/agent/cluster/attach_events.h"

#include "src/attach/request.h"
#include "src/json/json.h"

#include <utility>

#include <nlohmann/json.hpp>

namespace railhead::agent {
namespace {

constexpr std::size_t kMaxMessage = 8192;

ClusterEvent failureOf(const cni::Call& call, const cni::Reply& reply, const std::string& node) {
  ClusterEvent event;
  event.warning = true;
  event.reason = "AttachFailed";
  event.action = "Attach";
  event.subject = nodeSubject(node);
  if (const auto request = attach::parseRequest(call); request.has_value()) {
    const auto& pod = request->pod;
    if (!pod.name.empty()) event.subject = {"Pod", pod.podNamespace, pod.name, pod.uid};
  }
  const auto error = json::parseObject(reply.output, "the answer");
  if (!error.has_value()) return event;
  event.note = json::textMember(*error, "msg", kMaxMessage).value_or("");
  const std::string details = json::textMember(*error, "details", kMaxMessage).value_or("");
  if (!details.empty()) event.note += "; " + details;
  return event;
}

}  // namespace

attach::CniHandler reportFailures(attach::CniHandler handler, EventRecorder& events,
                                  std::string node) {
  return [handler = std::move(handler), &events,
          node = std::move(node)](const cni::Call& call) -> cni::Reply {
    cni::Reply reply = handler(call);
    if (reply.exitCode != 0 && call.command == "ADD") events.record(failureOf(call, reply, node));
    return reply;
  };
}

}  // namespace railhead::agent
