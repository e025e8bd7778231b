// Lines: CNI_COMMAND, CNI_CONTAINERID, CNI_IFNAME, CNI_NETNS, CNI_ARGS, CNI_PATH; the rest is
// stdin.
#include "src/attach/request.h"
#include "src/attach/result.h"
#include "src/json/json.h"
#include "tests/fuzz/promise.h"
#include "tests/fuzz/targets.h"

#include <nlohmann/json.hpp>

namespace railhead::fuzz {
namespace {

void checkRefusal(const attach::CniRefusal& refusal) {
  must(refusal.error.message.size() <= kMaxMessage, "an error is short");
  const auto printed = cni::encodeError(refusal.error, refusal.cniVersion);
  must(json::parseObject(printed, "error").has_value(), "a refusal is a JSON object");
}

}  // namespace

bool cniRequest(std::string_view input) {
  cni::Call call;
  call.command = cutLine(input);
  for (const char* name : {"CNI_CONTAINERID", "CNI_IFNAME", "CNI_NETNS", "CNI_ARGS", "CNI_PATH"}) {
    if (const auto value = cutLine(input); !value.empty()) call.environment[name] = value;
  }
  call.input = input;
  const auto request = attach::parseRequest(call);
  if (!request.has_value()) {
    checkRefusal(request.error());
    return false;
  }
  // What is done next with its parts.
  must(request->id.ifname.size() <= 15, "an interface's name fits the kernel");
  taken(attach::parseNetworks(request->networksAnnotation, request->pod.podNamespace));
  if (!request->prevResult.empty()) taken(attach::interfaceNames(request->prevResult));
  return true;
}

}  // namespace railhead::fuzz
