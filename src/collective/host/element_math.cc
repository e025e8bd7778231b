#include "src/collective/host/element_math.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace railhead::collective {
namespace {

template <typename T>
T load(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}
template <typename T>
void store(std::byte* at, T value) {
  std::memcpy(at, &value, sizeof value);
}

// bfloat16: the upper half of a float.
struct Bfloat16 {
  static float widen(std::uint16_t bits) {
    return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
  }
  static std::uint16_t narrow(float value) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    if (std::isnan(value)) return static_cast<std::uint16_t>((bits >> 16) | 0x40);
    return static_cast<std::uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
  }
};

// IEEE 754 binary16: 5 exponent bits, 10 of fraction.
struct Float16 {
  static float widen(std::uint16_t bits) {
    const int exponent = (bits >> 10) & 0x1f;
    const int fraction = bits & 0x3ff;
    float value = 0;
    if (exponent == 0) {
      value = std::ldexp(static_cast<float>(fraction), -24);
    } else if (exponent == 31) {
      value = fraction == 0 ? INFINITY : NAN;
    } else {
      value = std::ldexp(static_cast<float>(fraction + 0x400), exponent - 25);
    }
    return (bits & 0x8000) != 0 ? -value : value;
  }
  static std::uint16_t narrow(float value) {
    const auto sign = static_cast<std::uint16_t>(std::signbit(value) ? 0x8000 : 0);
    const float size = std::fabs(value);
    if (std::isnan(value)) return sign | 0x7e00;
    if (size >= 65520.0F) return sign | 0x7c00;  // the half way to the first that is too large
    if (size < 6.103515625e-05F) {               // below the least normal one: steps of 2^-24
      return static_cast<std::uint16_t>(sign |
                                        static_cast<int>(std::nearbyint(std::ldexp(size, 24))));
    }
    const int exponent = std::ilogb(size);
    // Rounding up to 2048 carries into the exponent, which is just what it should.
    const int fraction = static_cast<int>(std::nearbyint(std::ldexp(size, 10 - exponent)));
    return static_cast<std::uint16_t>(sign | (((exponent + 15) << 10) + fraction - 0x400));
  }
};

template <typename T>
void addPlain(std::span<std::byte> into, std::span<const std::byte> from) {
  for (std::size_t at = 0; at + sizeof(T) <= into.size(); at += sizeof(T)) {
    store<T>(&into[at], static_cast<T>(load<T>(&into[at]) + load<T>(&from[at])));
  }
}

template <typename Half>
void addHalf(std::span<std::byte> into, std::span<const std::byte> from) {
  for (std::size_t at = 0; at + 2 <= into.size(); at += 2) {
    const float sum =
        Half::widen(load<std::uint16_t>(&into[at])) + Half::widen(load<std::uint16_t>(&from[at]));
    store<std::uint16_t>(&into[at], Half::narrow(sum));
  }
}

}  // namespace

void addElements(ElementType type, std::span<std::byte> into, std::span<const std::byte> from) {
  switch (type) {  // signed ones through their unsigned kin: they wrap without undefined behaviour
    case ElementType::kInt8:
    case ElementType::kUint8:
      return addPlain<std::uint8_t>(into, from);
    case ElementType::kInt32:
      return addPlain<std::uint32_t>(into, from);
    case ElementType::kInt64:
      return addPlain<std::uint64_t>(into, from);
    case ElementType::kFloat16:
      return addHalf<Float16>(into, from);
    case ElementType::kBfloat16:
      return addHalf<Bfloat16>(into, from);
    case ElementType::kFloat32:
      return addPlain<float>(into, from);
    case ElementType::kFloat64:
      return addPlain<double>(into, from);
  }
}

void storeNumber(ElementType type, std::uint32_t value, std::byte* at) {
  switch (type) {
    case ElementType::kInt8:
    case ElementType::kUint8:
      return store(at, static_cast<std::uint8_t>(value));
    case ElementType::kInt32:
      return store(at, value);
    case ElementType::kInt64:
      return store(at, static_cast<std::uint64_t>(value));
    case ElementType::kFloat16:
      return store(at, Float16::narrow(static_cast<float>(value)));
    case ElementType::kBfloat16:
      return store(at, Bfloat16::narrow(static_cast<float>(value)));
    case ElementType::kFloat32:
      return store(at, static_cast<float>(value));
    case ElementType::kFloat64:
      return store(at, static_cast<double>(value));
  }
}

}  // namespace railhead::collective
