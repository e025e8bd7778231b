// What ranks say to each other in the proof: one message each way, 64 bytes, numbers in big endian:
//   0 magic "rhtuner1" · 8 what it is · 9 objection · 10 seconds (2) · 12 world (4) · 16 rank (4) ·
//   20 job (4) · 24 hash (32) · 56 digest of the table's bytes (8)
#pragma once

#include "plugins/nccl-tuner/table.h"

#include <array>
#include <cstdint>

namespace railhead::nccl_tuner {

enum class Objection : std::uint8_t {
  None,
  OtherTable,     // its hash or bytes differ from rank 0's
  OtherDeadline,  // RAILHEAD_TUNER_PROOF_SECONDS differs from rank 0's
  EarlierComm,    // it made another communicator before that of the whole world
  Missing,        // it did not come
  Gone,           // it came, and had gone when the answer was due
  Twice,          // two say that they are this rank
};
inline constexpr std::uint8_t kObjections = 7;

struct ProofMessage {
  enum class Kind : std::uint8_t { Hello = 1, Yes, No };

  Kind kind = Kind::Hello;
  Objection objection = Objection::None;  // hello: the sender's own; no: of the rank named
  std::uint16_t seconds = 0;
  std::uint32_t world = 0;
  std::uint32_t rank = 0;  // hello: the sender; yes: 0; no: the rank that is objected to
  // MASTER_PORT: another job that meets on this port by mistake has another one.
  std::uint32_t job = 0;
  std::array<std::uint8_t, 32> hash{};
  std::uint64_t digest = 0;

  bool sameJob(const ProofMessage& other) const { return world == other.world && job == other.job; }
  bool sameTable(const ProofMessage& other) const {
    return hash == other.hash && digest == other.digest;
  }
};

using ProofBytes = std::array<std::uint8_t, 64>;
ProofBytes encode(const ProofMessage& message);
// False when it is no message of this version: nothing in it is to be used then.
bool decode(const ProofBytes& bytes, ProofMessage& message);

// 64 lowercase hexadecimal digits, as a parsed table has them, to 32 bytes.
std::array<std::uint8_t, 32> hashBytes(const char (&hash)[65]);

}  // namespace railhead::nccl_tuner
