// The seam onto a driver's own counters (ethtool -S): bytes by kind and on the wire, which sysfs
// does not have. Tests: tests/support/fake_ethtool.h.
#pragma once

#include "src/base/result.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

namespace railhead::netlink {

inline constexpr std::size_t kMaxDriverCounters = 16384;  // of one link

class DriverCounters {
 public:
  virtual ~DriverCounters() = default;
  // Of a link of the calling thread's network namespace, by the driver's names:
  // "tx_vport_rdma_unicast_bytes". kNotFound: no such link; kUnsupported: its driver has none (lo).
  virtual Result<std::map<std::string, std::uint64_t>> read(const std::string& netdev) = 0;
};

// Needs no right. Each read asks the driver, which may ask the NIC's firmware: milliseconds.
std::unique_ptr<DriverCounters> openDriverCounters();

}  // namespace railhead::netlink
