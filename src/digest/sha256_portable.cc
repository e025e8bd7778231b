// SHA-256 as FIPS 180-4 has it, in plain C++: for a build that has no libcrypto
// (apps/railhead-train/standalone). Five times slower than one that uses the processor's own
// instructions.
#include "src/digest/sha256.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>

namespace railhead::digest {
namespace {

using Words = std::array<std::uint32_t, 8>;
constexpr std::size_t kBlock = 64;  // bytes

// The first 32 bits of the fractions of the cube roots of the first 64 primes (section 4.2.2).
constexpr std::array<std::uint32_t, 64> kRounds = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

// Of the square roots of the first 8 primes (section 5.3.3).
constexpr Words kBegin = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                          0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

std::uint32_t bigEndian(const unsigned char* at) {
  return std::uint32_t{at[0]} << 24 | std::uint32_t{at[1]} << 16 | std::uint32_t{at[2]} << 8 |
         at[3];
}

void addBlock(Words& hash, const unsigned char* block) {
  std::array<std::uint32_t, 64> w{};
  for (std::size_t t = 0; t < 16; ++t) w[t] = bigEndian(block + 4 * t);
  for (std::size_t t = 16; t < 64; ++t) {
    const std::uint32_t early = w[t - 15];
    const std::uint32_t late = w[t - 2];
    w[t] = (std::rotr(late, 17) ^ std::rotr(late, 19) ^ (late >> 10)) + w[t - 7] +
           (std::rotr(early, 7) ^ std::rotr(early, 18) ^ (early >> 3)) + w[t - 16];
  }
  auto [a, b, c, d, e, f, g, h] = hash;
  for (std::size_t t = 0; t < 64; ++t) {
    const std::uint32_t first = h + (std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25)) +
                                ((e & f) ^ (~e & g)) + kRounds[t] + w[t];
    const std::uint32_t second =
        (std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    h = g;
    g = f;
    f = e;
    e = d + first;
    d = c;
    c = b;
    b = a;
    a = first + second;
  }
  const Words added = {a, b, c, d, e, f, g, h};
  for (std::size_t i = 0; i < added.size(); ++i) hash[i] += added[i];
}

}  // namespace

struct Sha256::State {
  Words hash = kBegin;
  std::array<unsigned char, kBlock> rest{};  // what does not fill a block yet
  std::uint64_t bytes = 0;                   // in all

  void add(const unsigned char* at, std::size_t size) {
    const std::size_t held = bytes % kBlock;
    bytes += size;
    if (held != 0) {
      const std::size_t taken = std::min(kBlock - held, size);
      std::memcpy(&rest[held], at, taken);
      at += taken;
      size -= taken;
      if (held + taken < kBlock) return;
      addBlock(hash, rest.data());
    }
    for (; size >= kBlock; at += kBlock, size -= kBlock) addBlock(hash, at);
    if (size != 0) std::memcpy(rest.data(), at, size);
  }

  // A one bit, zeros, the length in bits.
  void pad() {
    const std::uint64_t bits = bytes * 8;
    std::array<unsigned char, kBlock + 8> padding{0x80};
    const std::size_t zerosEnd = (bytes % kBlock < 56 ? 56 : 120) - bytes % kBlock;
    for (std::size_t i = 0; i < 8; ++i) {
      padding[zerosEnd + i] = static_cast<unsigned char>(bits >> (56 - 8 * i));
    }
    add(padding.data(), zerosEnd + 8);
  }
};

Sha256::Sha256() : state_(std::make_unique<State>()) {}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::add(std::string_view bytes) {
  state_->add(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
}

std::string Sha256::hex() const {
  State copy = *state_;
  copy.pad();
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (const std::uint32_t word : copy.hash) {
    for (int shift = 28; shift >= 0; shift -= 4) out += kDigits[word >> shift & 15];
  }
  return out;
}

std::string sha256Hex(std::string_view bytes) {
  Sha256 hash;
  hash.add(bytes);
  return hash.hex();
}

}  // namespace railhead::digest
