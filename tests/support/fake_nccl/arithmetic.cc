#include "tests/support/fake_nccl/arithmetic.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace railhead::testing_support {
namespace {

float fromHalf(std::uint16_t bits) {
  const int exponent = (bits >> 10) & 0x1f;
  const float fraction = static_cast<float>(bits & 0x3ff);
  const float size =
      exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(fraction + 1024.0F, exponent - 25);
  return (bits & 0x8000) != 0 ? -size : size;
}

// Exact for the whole numbers that tests add up.
std::uint16_t toHalf(float value) {
  if (value == 0.0F) return 0;
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t exponent = ((bits >> 23) & 0xff) - 127 + 15;
  return static_cast<std::uint16_t>(((bits >> 16) & 0x8000) | (exponent << 10) |
                                    ((bits >> 13) & 0x3ff));
}

float fromBfloat(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}
std::uint16_t toBfloat(float value) {
  return static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(value) >> 16);
}

template <typename T, typename Sum>
void addAs(std::byte* into, const std::byte* from, std::size_t count, Sum sum) {
  for (std::size_t i = 0; i < count; ++i) {
    T a{};
    T b{};
    std::memcpy(&a, into + i * sizeof(T), sizeof(T));
    std::memcpy(&b, from + i * sizeof(T), sizeof(T));
    a = sum(a, b);
    std::memcpy(into + i * sizeof(T), &a, sizeof(T));
  }
}

template <typename T>
T plain(T a, T b) {
  return static_cast<T>(a + b);
}

}  // namespace

std::size_t bytesOf(abi::DataType type) {
  switch (type) {
    case abi::kInt8:
    case abi::kUint8:
      return 1;
    case abi::kFloat16:
    case abi::kBfloat16:
      return 2;
    case abi::kInt32:
    case abi::kFloat32:
      return 4;
    case abi::kInt64:
    case abi::kFloat64:
      return 8;
    default:
      return 0;
  }
}

void add(abi::DataType type, std::byte* into, const std::byte* from, std::size_t count) {
  switch (type) {
    case abi::kInt8:
    case abi::kUint8:
      return addAs<std::uint8_t>(into, from, count, plain<std::uint8_t>);
    case abi::kInt32:
      return addAs<std::uint32_t>(into, from, count, plain<std::uint32_t>);
    case abi::kInt64:
      return addAs<std::uint64_t>(into, from, count, plain<std::uint64_t>);
    case abi::kFloat32:
      return addAs<float>(into, from, count, plain<float>);
    case abi::kFloat64:
      return addAs<double>(into, from, count, plain<double>);
    case abi::kFloat16:
      return addAs<std::uint16_t>(into, from, count, [](std::uint16_t a, std::uint16_t b) {
        return toHalf(fromHalf(a) + fromHalf(b));
      });
    case abi::kBfloat16:
      return addAs<std::uint16_t>(into, from, count, [](std::uint16_t a, std::uint16_t b) {
        return toBfloat(fromBfloat(a) + fromBfloat(b));
      });
    default:
      return;
  }
}

}  // namespace railhead::testing_support
