#include "src/bench/verbs_wire.h"
#include "tests/fuzz/promise.h"
#include "tests/fuzz/targets.h"

namespace railhead::fuzz {
namespace {

template <typename Decode>
bool goesThereAndBack(std::string_view input, const Decode& decode) {
  const auto message = decode(input);
  if (!taken(message)) return false;
  const std::string sent = bench::encode(*message);
  const auto back = decode(sent);
  must(back.has_value(), "what was taken can be sent");
  must(bench::encode(*back) == sent, "and says the same");
  return true;
}

}  // namespace

bool benchWire(std::string_view input) {
  const bool hello = goesThereAndBack(input, bench::decodeHello);
  const bool welcome = goesThereAndBack(input, bench::decodeWelcome);
  const bool command = goesThereAndBack(input, bench::decodeCommand);
  const bool reply = goesThereAndBack(input, bench::decodeReply);
  return hello || welcome || command || reply;
}

}  // namespace railhead::fuzz
