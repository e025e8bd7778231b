// The first byte says in pieces of how many bytes the rest arrives.
#include "lab/protocol/frame.h"
#include "lab/protocol/messages.h"
#include "tests/fuzz/promise.h"
#include "tests/fuzz/targets.h"

#include <algorithm>

namespace railhead::fuzz {
namespace {

template <typename Message>
bool message(const std::string& payload) {
  const auto read = Message::parse(payload);
  if (!taken(read)) return false;
  must(Message::parse(read->encode()).has_value(), "what was read can be sent");
  return true;
}

bool understood(const lab::Frame& frame) {
  switch (frame.type) {
    case lab::FrameType::kExec:
      return message<lab::ExecRequest>(frame.payload);
    case lab::FrameType::kSignal:
      return message<lab::SignalRequest>(frame.payload);
    case lab::FrameType::kReady:
      return message<lab::ReadyMessage>(frame.payload);
    case lab::FrameType::kExit:
      return message<lab::ExitMessage>(frame.payload);
    default:
      return true;
  }
}

}  // namespace

bool labFrames(std::string_view input) {
  const std::size_t piece = std::max<std::size_t>(cutByte(input), 1);
  lab::FrameDecoder decoder;
  std::string understoodBytes;
  bool all = !input.empty();
  for (std::string_view rest = input; !rest.empty();) {
    const auto some = rest.substr(0, piece);
    rest.remove_prefix(some.size());
    decoder.feed(some);
    for (;;) {
      const auto next = decoder.next();
      if (!taken(next)) return false;
      if (!*next) break;
      all = understood(**next) && all;
      understoodBytes += lab::encodeFrame(**next);
    }
  }
  must(input.starts_with(understoodBytes), "frames are the bytes that came");
  must(understoodBytes.size() + decoder.bufferedBytes() == input.size(), "no byte is lost");
  return all && decoder.bufferedBytes() == 0;
}

}  // namespace railhead::fuzz
