// The seam onto an RDMA driver's own counters, asked over netlink: sysfs hides them (hw_counters)
// in every network namespace but the first while RDMA devices are shared between namespaces, which
// is where a pod would look.
#pragma once

#include "src/base/result.h"

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>

namespace railhead::netlink {

// Of an answer to RDMA_NLDEV_CMD_STAT_GET. kUnsupported: it has no counters.
Result<std::map<std::string, std::uint64_t>> parseRdmaCounters(
    std::span<const std::uint8_t> payload);

class RdmaCounters {
 public:
  virtual ~RdmaCounters() = default;
  // Of port 1, by the driver's names: "sent_pkts" (rdma_rxe). kNotFound: no such device here;
  // kUnsupported: its driver counts nothing.
  virtual Result<std::map<std::string, std::uint64_t>> read(const std::string& device) = 0;
};

// Asks in the calling thread's network namespace; opened at the first read. Needs no right.
std::unique_ptr<RdmaCounters> openRdmaCounters();

}  // namespace railhead::netlink
