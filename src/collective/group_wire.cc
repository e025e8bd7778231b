#include "src/collective/group_wire.h"

#include "src/base/text.h"

namespace railhead::collective {
namespace {

constexpr std::string_view kMagic = "railhead-rank";
constexpr std::size_t kNumber = 4;

void putNumber(std::string& out, std::uint32_t value) {
  for (std::size_t i = 0; i < kNumber; ++i) out += static_cast<char>(value >> (8 * i));
}

std::optional<std::uint32_t> takeNumber(std::string_view& bytes) {
  if (bytes.size() < kNumber) return std::nullopt;
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < kNumber; ++i) {
    value |= static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
  }
  bytes.remove_prefix(kNumber);
  return value;
}

Error corrupt(const std::string& what) { return Error(ErrorCode::kCorrupt, "a frame of " + what); }

bool isKind(char kind) { return std::string_view("pwfhl").find(kind) != std::string_view::npos; }

Result<std::vector<std::string>> takeTexts(std::string_view bytes) {
  const auto count = takeNumber(bytes);
  if (!count || *count > static_cast<std::uint32_t>(kMaxRanks)) return corrupt("too many texts");
  std::vector<std::string> texts;
  for (std::uint32_t i = 0; i < *count; ++i) {
    const auto size = takeNumber(bytes);
    if (!size || *size > Group::kMaxText || *size > bytes.size()) return corrupt("a cut text");
    texts.emplace_back(bytes.substr(0, *size));
    bytes.remove_prefix(*size);
  }
  if (!bytes.empty()) return corrupt("bytes behind its texts");
  return texts;
}

}  // namespace

std::string encodeFrame(const Frame& frame) {
  std::string out(1, static_cast<char>(frame.kind));
  putNumber(out, frame.round);
  putNumber(out, static_cast<std::uint32_t>(frame.texts.size()));
  for (const auto& text : frame.texts) {
    putNumber(out, static_cast<std::uint32_t>(text.size()));
    out += text;
  }
  return out;
}

Result<Frame> decodeFrame(std::string_view bytes) {
  if (bytes.empty() || !isKind(bytes.front())) return corrupt("an unknown kind");
  Frame frame;
  frame.kind = static_cast<FrameKind>(bytes.front());
  bytes.remove_prefix(1);
  const auto round = takeNumber(bytes);
  if (!round) return corrupt("no round");
  frame.round = *round;
  RAILHEAD_TRY_ASSIGN(frame.texts, takeTexts(bytes));
  const bool one = frame.kind == FrameKind::kPart || frame.kind == FrameKind::kFailure;
  if (one && frame.texts.size() != 1) return corrupt("not one text");
  return frame;
}

std::size_t maxFrameBytes(int ranks) {
  return 1 + 2 * kNumber + static_cast<std::size_t>(ranks) * (kNumber + Group::kMaxText);
}

std::string encodeIntroduction(const Introduction& introduction) {
  return std::string(kMagic) + "\n" + introduction.purpose + "\n" + introduction.token + "\n" +
         std::to_string(introduction.ranks) + "\n" + std::to_string(introduction.rank) + "\n" +
         introduction.node;
}

Result<Introduction> decodeIntroduction(std::string_view text) {
  const auto lines = split(text, '\n');
  if (lines.size() != 6 || lines[0] != kMagic) {
    return Error(ErrorCode::kCorrupt, "not a railhead rank");
  }
  const auto ranks = parseUnsigned(lines[3]);
  const auto rank = parseUnsigned(lines[4]);
  if (!ranks || !rank || *ranks > static_cast<std::uint64_t>(kMaxRanks) || *rank >= *ranks) {
    return Error(ErrorCode::kCorrupt,
                 "rank " + inQuotes(lines[4], 20) + " of " + inQuotes(lines[3], 20));
  }
  return Introduction{std::string(lines[1]), std::string(lines[2]), static_cast<int>(*ranks),
                      static_cast<int>(*rank), std::string(lines[5])};
}

}  // namespace railhead::collective
