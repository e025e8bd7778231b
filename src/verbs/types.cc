#include "src/verbs/types.h"

#include "src/base/text.h"

#include <algorithm>
#include <cstdio>

namespace railhead::verbs {
namespace {

constexpr std::array<std::uint8_t, 12> kMappedPrefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

}  // namespace

Result<Gid> Gid::parse(std::string_view text) {
  const Error bad(ErrorCode::kInvalidArgument,
                  "GID " + inQuotes(text) +
                      ": expected eight groups of four hexadecimal digits, like "
                      "0000:0000:0000:0000:0000:ffff:0a64:0005");
  const auto groups = split(text, ':');
  if (groups.size() != 8) return bad;
  Gid gid;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const bool plain = groups[i].find_first_not_of("0123456789abcdefABCDEF") == groups[i].npos;
    const auto value = groups[i].size() == 4 && plain ? parseHex(groups[i]) : std::nullopt;
    if (!value) return bad;
    gid.bytes[2 * i] = static_cast<std::uint8_t>(*value >> 8);
    gid.bytes[2 * i + 1] = static_cast<std::uint8_t>(*value & 0xff);
  }
  return gid;
}

Gid Gid::fromIp(const IpAddress& address) {
  Gid gid;
  if (address.v6) {
    gid.bytes = address.bytes;
  } else {
    std::copy(kMappedPrefix.begin(), kMappedPrefix.end(), gid.bytes.begin());
    std::copy_n(address.bytes.begin(), 4, gid.bytes.begin() + 12);
  }
  return gid;
}

std::string Gid::toString() const {
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += 2) {
    char group[8];
    std::snprintf(group, sizeof group, "%s%02x%02x", i == 0 ? "" : ":", bytes[i], bytes[i + 1]);
    out += group;
  }
  return out;
}

IpAddress Gid::ip() const {
  IpAddress address;
  if (std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), bytes.begin())) {
    std::copy_n(bytes.begin() + 12, 4, address.bytes.begin());
  } else {
    address.bytes = bytes;
    address.v6 = true;
  }
  return address;
}

std::string_view gidTypeName(GidType type) {
  switch (type) {
    case GidType::kInfiniband:
      return "InfiniBand";
    case GidType::kRoceV1:
      return "RoCE v1";
    case GidType::kRoceV2:
      return "RoCE v2";
  }
  return "unknown";
}

std::string_view portStateName(PortState state) {
  switch (state) {
    case PortState::kUnknown:
      return "UNKNOWN";
    case PortState::kDown:
      return "DOWN";
    case PortState::kInitializing:
      return "INIT";
    case PortState::kArmed:
      return "ARMED";
    case PortState::kActive:
      return "ACTIVE";
  }
  return "UNKNOWN";
}

std::string describe(const Completion& completion) {
  const auto cause = [&]() -> std::string {
    switch (completion.status) {
      case CompletionStatus::kSuccess:
        return "success";
      case CompletionStatus::kLocalProtection:
        return "the local buffer or key is not valid";
      case CompletionStatus::kRemoteAccess:
        return "the peer refused the address, the key or the right to write";
      case CompletionStatus::kRetryExceeded:
        return "no acknowledgement from the peer";
      case CompletionStatus::kReceiverNotReady:
        return "the peer has posted no receive";
      case CompletionStatus::kFlushed:
        return "flushed, the queue pair had already failed";
      case CompletionStatus::kOther:
        return "failed";
    }
    return "failed";
  };
  return cause() + " (" + std::to_string(completion.vendorStatus) + ")";
}

}  // namespace railhead::verbs
