// Frames of the control channel between the host's keeper and the guest (docs/lab.md, "Control
// channel"): u32 LE payload length, u32 LE stream id, u8 type, payload. No I/O here.
#pragma once

#include "src/base/result.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace railhead::lab {

enum class FrameType : std::uint8_t {
  // host to guest
  kExec = 1,
  kStdin = 2,
  kStdinEnd = 3,
  kSignal = 4,
  kPing = 5,
  // guest to host
  kReady = 16,
  kStdout = 17,
  kStderr = 18,
  kExit = 19,
  kRefused = 20,
};

inline constexpr std::size_t kFrameHeaderBytes = 9;
inline constexpr std::size_t kMaxFramePayload = 256 * 1024;

struct Frame {
  FrameType type = FrameType::kPing;
  std::uint32_t stream = 0;  // 0 is the connection itself
  std::string payload;
  bool operator==(const Frame&) const = default;
};

// Name for log lines and errors ("exec", "stdout").
std::string_view frameTypeName(FrameType type);

// The frame's bytes. A payload over kMaxFramePayload breaks the contract (aborts): a sender of
// streamed bytes cuts them first, see appendChunked.
std::string encodeFrame(FrameType type, std::uint32_t stream, std::string_view payload = {});
inline std::string encodeFrame(const Frame& frame) {
  return encodeFrame(frame.type, frame.stream, frame.payload);
}

// Bytes of any length as as many frames of one type as they need (none for no bytes).
void appendChunked(std::string& out, FrameType type, std::uint32_t stream, std::string_view bytes);

// Turns a byte stream, fed in pieces of any size, into frames. After an error the stream cannot be
// resynchronised: every later next() returns the same error. Thread-compatible.
class FrameDecoder {
 public:
  void feed(std::string_view bytes);
  // The next whole frame, nullopt when more bytes are needed, kCorrupt on an unknown type or a
  // length over kMaxFramePayload.
  Result<std::optional<Frame>> next();
  // Forgets everything, for a new connection.
  void reset();
  std::size_t bufferedBytes() const { return buffer_.size() - consumed_; }

 private:
  std::string buffer_;
  std::size_t consumed_ = 0;  // bytes at the front of buffer_ that are done with
  std::optional<Error> failure_;
};

}  // namespace railhead::lab
