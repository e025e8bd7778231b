// What ranks and hub say to each other: length-prefixed frames (os::sendFrame) of one kind byte and
// a payload. Private to src/collective; everything read is untrusted and bounded.
#pragma once

#include "src/base/result.h"
#include "src/collective/group.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::collective {

enum class FrameKind : char {
  kPart = 'p',       // a rank's text of one gather: round, text
  kWhole = 'w',      // all of them: round, texts
  kFailure = 'f',    // why the gang ends
  kHeartbeat = 'h',  // still here
  kFarewell = 'l',   // leaves in order
};

struct Frame {
  FrameKind kind = FrameKind::kHeartbeat;
  std::uint32_t round = 0;
  std::vector<std::string> texts;  // one, but for kWhole
};

std::string encodeFrame(const Frame& frame);
// kCorrupt for what no rank sends.
Result<Frame> decodeFrame(std::string_view bytes);
// The largest frame in a world of `ranks`.
std::size_t maxFrameBytes(int ranks);

struct Introduction {
  std::string purpose;
  std::string token;
  int ranks = 0;
  int rank = 0;
  std::string node;
};
inline constexpr std::size_t kMaxIntroduction = 1024;
std::string encodeIntroduction(const Introduction& introduction);
Result<Introduction> decodeIntroduction(std::string_view text);

// The hub's answer: empty when welcome, else why not.
inline constexpr std::string_view kWelcome = "welcome";
inline constexpr std::string_view kRefused = "refused ";

}  // namespace railhead::collective
