#include "lab/protocol/frame.h"

#include "src/base/text.h"

#include <algorithm>
#include <cstdlib>
#include <string>

namespace railhead::lab {

namespace {

void appendLittleEndian(std::string& out, std::uint32_t value) {
  for (int shift = 0; shift < 32; shift += 8) out.push_back(static_cast<char>(value >> shift));
}

std::uint32_t readLittleEndian(std::string_view bytes) {
  std::uint32_t value = 0;
  for (int i = 3; i >= 0; --i) {
    value = (value << 8) | static_cast<std::uint8_t>(bytes[static_cast<std::size_t>(i)]);
  }
  return value;
}

}  // namespace

std::string_view frameTypeName(FrameType type) {
  switch (type) {
    case FrameType::kExec:
      return "exec";
    case FrameType::kStdin:
      return "stdin";
    case FrameType::kStdinEnd:
      return "stdin-end";
    case FrameType::kSignal:
      return "signal";
    case FrameType::kPing:
      return "ping";
    case FrameType::kReady:
      return "ready";
    case FrameType::kStdout:
      return "stdout";
    case FrameType::kStderr:
      return "stderr";
    case FrameType::kExit:
      return "exit";
    case FrameType::kRefused:
      return "refused";
  }
  return {};  // not a type of this protocol
}

std::string encodeFrame(FrameType type, std::uint32_t stream, std::string_view payload) {
  if (payload.size() > kMaxFramePayload) std::abort();
  std::string out;
  out.reserve(kFrameHeaderBytes + payload.size());
  appendLittleEndian(out, static_cast<std::uint32_t>(payload.size()));
  appendLittleEndian(out, stream);
  out.push_back(static_cast<char>(type));
  out.append(payload);
  return out;
}

void appendChunked(std::string& out, FrameType type, std::uint32_t stream, std::string_view bytes) {
  while (!bytes.empty()) {
    const std::string_view chunk = bytes.substr(0, kMaxFramePayload);
    out += encodeFrame(type, stream, chunk);
    bytes.remove_prefix(chunk.size());
  }
}

void FrameDecoder::feed(std::string_view bytes) {
  if (failure_) return;
  // Moving the rest to the front only when the done part is the larger one keeps feeding linear.
  if (consumed_ > buffer_.size() / 2) {
    buffer_.erase(0, consumed_);
    consumed_ = 0;
  }
  buffer_.append(bytes);
}

Result<std::optional<Frame>> FrameDecoder::next() {
  if (failure_) return *failure_;
  const std::string_view rest = std::string_view(buffer_).substr(consumed_);
  if (rest.size() < kFrameHeaderBytes) return std::optional<Frame>();
  const std::uint32_t length = readLittleEndian(rest);
  const auto type = static_cast<FrameType>(rest[8]);
  if (length > kMaxFramePayload || frameTypeName(type).empty()) {
    failure_ =
        Error(ErrorCode::kCorrupt,
              "control channel: frame of type " + std::to_string(static_cast<unsigned>(type)) +
                  " with " + std::to_string(length) +
                  " bytes; allowed are types 1-5 and 16-20 with at "
                  "most " +
                  std::to_string(kMaxFramePayload) + " bytes",
              "host and guest must come from the same build; rebuild the lab image");
    return *failure_;
  }
  if (rest.size() < kFrameHeaderBytes + length) return std::optional<Frame>();
  Frame frame;
  frame.type = type;
  frame.stream = readLittleEndian(rest.substr(4));
  frame.payload = rest.substr(kFrameHeaderBytes, length);
  consumed_ += kFrameHeaderBytes + length;
  return std::optional<Frame>(std::move(frame));
}

void FrameDecoder::reset() {
  buffer_.clear();
  consumed_ = 0;
  failure_.reset();
}

}  // namespace railhead::lab
