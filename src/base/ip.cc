#include "src/base/ip.h"

#include "src/base/text.h"

#include <arpa/inet.h>

namespace railhead {

Result<IpAddress> IpAddress::parse(std::string_view text) {
  IpAddress address;
  const std::string copy(text);
  if (copy.size() == text.size() && copy.find('\0') == std::string::npos) {
    if (inet_pton(AF_INET, copy.c_str(), address.bytes.data()) == 1) return address;
    address.bytes.fill(0);
    if (inet_pton(AF_INET6, copy.c_str(), address.bytes.data()) == 1) {
      address.v6 = true;
      return address;
    }
  }
  return Error(ErrorCode::kInvalidArgument,
               "IP address " + inQuotes(text) + ": expected an IPv4 or IPv6 address");
}

IpAddress IpAddress::v4(std::uint32_t hostOrder) {
  IpAddress address;
  for (int i = 0; i < 4; ++i) {
    address.bytes[static_cast<std::size_t>(i)] =
        static_cast<std::uint8_t>(hostOrder >> (24 - 8 * i));
  }
  return address;
}

std::string IpAddress::toString() const {
  char text[INET6_ADDRSTRLEN];
  inet_ntop(v6 ? AF_INET6 : AF_INET, bytes.data(), text, sizeof text);
  return text;
}

Result<IpAddress> IpAddress::plus(std::uint64_t offset) const {
  IpAddress sum = *this;
  std::uint64_t carry = offset;
  for (int i = bits() / 8 - 1; i >= 0 && carry != 0; --i) {
    auto& byte = sum.bytes[static_cast<std::size_t>(i)];
    // The low byte of carry is added here; what is left moves up one byte.
    const std::uint64_t total = byte + (carry & 0xff);
    byte = static_cast<std::uint8_t>(total);
    carry = (carry >> 8) + (total >> 8);
  }
  if (carry != 0) {
    return Error(ErrorCode::kExhausted,
                 toString() + " + " + std::to_string(offset) + ": past the last address");
  }
  return sum;
}

Result<IpPrefix> IpPrefix::parse(std::string_view text) {
  const auto slash = text.rfind('/');
  if (slash == std::string_view::npos) {
    return Error(ErrorCode::kInvalidArgument,
                 "subnet " + inQuotes(text) + ": expected address/length, like 10.100.0.0/24");
  }
  RAILHEAD_TRY_ASSIGN(const IpAddress address, IpAddress::parse(text.substr(0, slash)));
  const auto length = parseUnsigned(text.substr(slash + 1));
  if (!length || *length > static_cast<std::uint64_t>(address.bits())) {
    return Error(ErrorCode::kInvalidArgument, "subnet " + inQuotes(text) +
                                                  ": prefix length must be 0 to " +
                                                  std::to_string(address.bits()));
  }
  return IpPrefix{address, static_cast<int>(*length)};
}

std::string IpPrefix::toString() const { return address.toString() + "/" + std::to_string(length); }

namespace {

// The mask of byte `i` in a prefix of `length` bits.
std::uint8_t maskByte(int length, int i) {
  const int left = length - 8 * i;
  if (left >= 8) return 0xff;
  if (left <= 0) return 0;
  return static_cast<std::uint8_t>(0xff << (8 - left));
}

}  // namespace

IpPrefix IpPrefix::network() const {
  IpPrefix net = *this;
  for (int i = 0; i < address.bits() / 8; ++i)
    net.address.bytes[static_cast<std::size_t>(i)] &= maskByte(length, i);
  return net;
}

IpAddress IpPrefix::broadcast() const {
  IpAddress last = address;
  for (int i = 0; i < address.bits() / 8; ++i) {
    auto& byte = last.bytes[static_cast<std::size_t>(i)];
    byte = static_cast<std::uint8_t>(byte | static_cast<std::uint8_t>(~maskByte(length, i)));
  }
  return last;
}

bool IpPrefix::contains(const IpAddress& other) const {
  if (other.v6 != address.v6) return false;
  return IpPrefix{other, length}.network().address == network().address;
}

bool IpPrefix::overlaps(const IpPrefix& other) const {
  if (other.address.v6 != address.v6) return false;
  return length <= other.length ? contains(other.address) : other.contains(address);
}

}  // namespace railhead
