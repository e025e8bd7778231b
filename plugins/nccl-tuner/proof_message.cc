#include "plugins/nccl-tuner/proof_message.h"

#include <algorithm>

namespace railhead::nccl_tuner {
namespace {

constexpr char kMessageMagic[] = "rhtuner1";
constexpr std::size_t kMagicLength = sizeof kMessageMagic - 1;

void put(ProofBytes& bytes, std::size_t at, std::size_t length, std::uint64_t value) {
  for (std::size_t i = 0; i < length; ++i)
    bytes[at + i] = static_cast<std::uint8_t>(value >> (8 * (length - 1 - i)));
}

std::uint64_t take(const ProofBytes& bytes, std::size_t at, std::size_t length) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < length; ++i) value = value << 8 | bytes[at + i];
  return value;
}

std::uint8_t nibble(char digit) {
  return static_cast<std::uint8_t>(digit <= '9' ? digit - '0' : digit - 'a' + 10);
}

}  // namespace

ProofBytes encode(const ProofMessage& message) {
  ProofBytes bytes{};
  std::copy_n(kMessageMagic, kMagicLength, bytes.begin());
  put(bytes, 8, 1, static_cast<std::uint8_t>(message.kind));
  put(bytes, 9, 1, static_cast<std::uint8_t>(message.objection));
  put(bytes, 10, 2, message.seconds);
  put(bytes, 12, 4, message.world);
  put(bytes, 16, 4, message.rank);
  put(bytes, 20, 4, message.job);
  std::copy(message.hash.begin(), message.hash.end(), bytes.begin() + 24);
  put(bytes, 56, 8, message.digest);
  return bytes;
}

bool decode(const ProofBytes& bytes, ProofMessage& message) {
  if (!std::equal(kMessageMagic, kMessageMagic + kMagicLength, bytes.begin())) return false;
  const auto kind = bytes[8];
  if (kind < static_cast<std::uint8_t>(ProofMessage::Kind::Hello) ||
      kind > static_cast<std::uint8_t>(ProofMessage::Kind::No))
    return false;
  if (bytes[9] >= kObjections) return false;
  message.kind = static_cast<ProofMessage::Kind>(kind);
  message.objection = static_cast<Objection>(bytes[9]);
  message.seconds = static_cast<std::uint16_t>(take(bytes, 10, 2));
  message.world = static_cast<std::uint32_t>(take(bytes, 12, 4));
  message.rank = static_cast<std::uint32_t>(take(bytes, 16, 4));
  message.job = static_cast<std::uint32_t>(take(bytes, 20, 4));
  std::copy_n(bytes.begin() + 24, message.hash.size(), message.hash.begin());
  message.digest = take(bytes, 56, 8);
  return true;
}

std::array<std::uint8_t, 32> hashBytes(const char (&hash)[65]) {
  std::array<std::uint8_t, 32> bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i)
    bytes[i] = static_cast<std::uint8_t>(nibble(hash[2 * i]) << 4 | nibble(hash[2 * i + 1]));
  return bytes;
}

}  // namespace railhead::nccl_tuner
