#include "src/collective/group_wire.h"
#include "tests/fuzz/promise.h"
#include "tests/fuzz/targets.h"

namespace railhead::fuzz {

bool gangWire(std::string_view input) {
  const auto frame = collective::decodeFrame(input);
  const auto introduction = collective::decodeIntroduction(input);
  if (taken(frame)) must(collective::encodeFrame(*frame) == input, "a frame is its bytes");
  if (taken(introduction)) {
    must(introduction->rank >= 0 && introduction->rank < introduction->ranks,
         "a rank is of a world");
    const auto again =
        collective::decodeIntroduction(collective::encodeIntroduction(*introduction));
    must(again.has_value() && again->rank == introduction->rank, "an introduction can be sent");
  }
  return frame.has_value() || introduction.has_value();
}

}  // namespace railhead::fuzz
