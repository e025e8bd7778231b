#include "src/cni/protocol.h"
#include "tests/fuzz/promise.h"
#include "tests/fuzz/targets.h"

namespace railhead::fuzz {

bool shimFrames(std::string_view input) {
  const auto call = cni::decodeCall(input);
  const auto reply = cni::decodeReply(input);
  if (taken(call)) {
    must(cni::decodeCall(cni::encodeCall(*call)).has_value(), "a call can be passed on");
  }
  if (taken(reply)) {
    must(cni::decodeReply(cni::encodeReply(*reply)).has_value(), "a reply can be passed on");
  }
  return call.has_value() || reply.has_value();
}

}  // namespace railhead::fuzz
