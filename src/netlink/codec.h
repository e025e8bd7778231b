// Bytes of rtnetlink and RDMA netlink messages to values. Pure and bounded: fuzzed, because a
// kernel newer than we know may send anything. `payload` is a message without its nlmsghdr.
#pragma once

#include "src/base/result.h"
#include "src/netlink/types.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace railhead::netlink {

using Bytes = std::span<const std::uint8_t>;

struct Attribute {
  std::uint16_t type = 0;
  Bytes data;

  std::uint8_t u8() const;
  std::uint32_t u32() const;  // 0 when shorter
  std::uint64_t u64() const;
  std::string text() const;  // up to the first NUL
};

// Calls `each` for every well-formed attribute; stops silently at the first that is not.
void forEachAttribute(Bytes data, const std::function<void(const Attribute&)>& each);

Result<Link> parseLink(Bytes payload);
Result<std::vector<VfSettings>> parseVfs(Bytes payload);  // of an RTM_NEWLINK with VF information
// Of the same message; VFs whose counters are all zero are left out.
Result<std::vector<VfTraffic>> parseVfTraffic(Bytes payload);
Result<Address> parseAddress(Bytes payload);
// Nothing for a message that is no unicast route with one next hop, or one of table "local".
Result<std::optional<Route>> parseRoute(Bytes payload);
// Nothing for a rule that is not by one source address to a table.
Result<std::optional<Rule>> parseRule(Bytes payload);
Result<RdmaDevice> parseRdmaDevice(Bytes payload);
Result<RdmaPort> parseRdmaPort(Bytes payload);
Result<RdmaNetnsMode> parseRdmaNetnsMode(Bytes payload);

}  // namespace railhead::netlink
