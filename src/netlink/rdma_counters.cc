#include "src/netlink/rdma_counters.h"

#include "src/netlink/codec.h"
#include "src/netlink/socket.h"

#include <algorithm>
#include <cerrno>
#include <optional>

#include <linux/netlink.h>
#include <rdma/rdma_netlink.h>
#include <sys/socket.h>

namespace railhead::netlink {
namespace {

using Counts = std::map<std::string, std::uint64_t>;

constexpr std::uint32_t kPort = 1;
constexpr std::size_t kMost = 4096;

class KernelRdmaCounters final : public RdmaCounters {
 public:
  Result<Counts> read(const std::string& device) override {
    if (!socket_) {
      RAILHEAD_TRY_ASSIGN(auto socket, Socket::open(NETLINK_RDMA, nullptr));
      socket_.emplace(std::move(socket));
    }
    RAILHEAD_TRY_ASSIGN(const std::uint32_t index, indexOf(device));
    Request request(rdmaMessageType(RDMA_NLDEV_CMD_STAT_GET), 0);
    request.putU32(RDMA_NLDEV_ATTR_DEV_INDEX, index);
    request.putU32(RDMA_NLDEV_ATTR_PORT_INDEX, kPort);
    auto answers = socket_->query(std::move(request), "read the counters of " + device);
    if (!answers.has_value()) {
      Error error = std::move(answers).error();
      // What the kernel answers for a driver without any.
      if (error.errnoValue == EINVAL || error.errnoValue == EOPNOTSUPP)
        error.code = ErrorCode::kUnsupported;
      return error;
    }
    if (answers->empty())
      return Error(ErrorCode::kUnsupported, "no answer about the counters of " + device);
    Counts counts;
    for (const auto& answer : *answers) {
      RAILHEAD_TRY_ASSIGN(const auto some, parseRdmaCounters(answer));
      counts.insert(some.begin(), some.end());
    }
    return counts;
  }

 private:
  Result<std::uint32_t> indexOf(const std::string& device) {
    RAILHEAD_TRY_ASSIGN(const auto answers,
                        socket_->query(Request(rdmaMessageType(RDMA_NLDEV_CMD_GET), NLM_F_DUMP),
                                       "list RDMA devices"));
    for (const auto& answer : answers) {
      RAILHEAD_TRY_ASSIGN(const auto found, parseRdmaDevice(answer));
      if (found.name == device) return found.index;
    }
    return Error(ErrorCode::kNotFound, "there is no RDMA device " + device + " here");
  }

  std::optional<Socket> socket_;
};

}  // namespace

Result<Counts> parseRdmaCounters(Bytes payload) {
  Counts counts;
  bool any = false;
  forEachAttribute(payload, [&](const Attribute& table) {
    if (table.type != RDMA_NLDEV_ATTR_STAT_HWCOUNTERS) return;
    any = true;
    forEachAttribute(table.data, [&](const Attribute& entry) {
      if (entry.type != RDMA_NLDEV_ATTR_STAT_HWCOUNTER_ENTRY || counts.size() >= kMost) return;
      std::string name;
      std::optional<std::uint64_t> value;
      forEachAttribute(entry.data, [&](const Attribute& part) {
        if (part.type == RDMA_NLDEV_ATTR_STAT_HWCOUNTER_ENTRY_NAME) name = part.text();
        const bool whole = part.data.size() == sizeof(std::uint64_t);
        if (part.type == RDMA_NLDEV_ATTR_STAT_HWCOUNTER_ENTRY_VALUE && whole) value = part.u64();
      });
      if (!name.empty() && value) counts.insert_or_assign(std::move(name), *value);
    });
  });
  if (!any) return Error(ErrorCode::kUnsupported, "the RDMA driver counts nothing");
  return counts;
}

std::unique_ptr<RdmaCounters> openRdmaCounters() { return std::make_unique<KernelRdmaCounters>(); }

}  // namespace railhead::netlink
