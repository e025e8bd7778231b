#include "src/netlink/ethtool.h"

#include "src/os/unique_fd.h"

#include <cerrno>
#include <cstring>
#include <string_view>
#include <vector>

#include <linux/ethtool.h>
#include <linux/if.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

namespace railhead::netlink {
namespace {

// An ethtool command: a header and, behind it, room for what the kernel answers.
template <typename Header>
class Command {
 public:
  Command(std::uint32_t command, std::size_t room)
      : words_((sizeof(Header) + room + sizeof(std::uint64_t) - 1) / sizeof(std::uint64_t)) {
    header()->cmd = command;
  }
  Header* header() { return reinterpret_cast<Header*>(words_.data()); }
  const std::byte* behind() const {
    return reinterpret_cast<const std::byte*>(words_.data()) + sizeof(Header);
  }
  std::byte* behind() { return reinterpret_cast<std::byte*>(words_.data()) + sizeof(Header); }

 private:
  std::vector<std::uint64_t> words_;
};

class KernelCounters final : public DriverCounters {
 public:
  Result<std::map<std::string, std::uint64_t>> read(const std::string& netdev) override {
    if (netdev.empty() || netdev.size() >= IFNAMSIZ) {
      return Error(ErrorCode::kInvalidArgument,
                   "link name '" + netdev.substr(0, 32) + "': expected 1 to 15 bytes");
    }
    const os::UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!socket) return Error::fromErrno(errno, "open a socket for ethtool");
    const std::string what = "read the driver's counters of " + netdev;

    Command<ethtool_sset_info> info(ETHTOOL_GSSET_INFO, sizeof(std::uint32_t));
    info.header()->sset_mask = 1ULL << ETH_SS_STATS;
    RAILHEAD_TRY(ask(socket.get(), netdev, info.header(), what));
    if (info.header()->sset_mask == 0) {
      return Error(ErrorCode::kUnsupported, what + ": its driver has none");
    }
    std::uint32_t count = 0;
    std::memcpy(&count, info.behind(), sizeof count);
    if (count > kMaxDriverCounters) {
      return Error(ErrorCode::kExhausted, what + ": it has " + std::to_string(count) +
                                              ", at most " + std::to_string(kMaxDriverCounters) +
                                              " are read");
    }

    Command<ethtool_gstrings> names(ETHTOOL_GSTRINGS, std::size_t{count} * ETH_GSTRING_LEN);
    names.header()->string_set = ETH_SS_STATS;
    names.header()->len = count;
    RAILHEAD_TRY(ask(socket.get(), netdev, names.header(), what));
    Command<ethtool_stats> values(ETHTOOL_GSTATS, std::size_t{count} * sizeof(std::uint64_t));
    values.header()->n_stats = count;
    RAILHEAD_TRY(ask(socket.get(), netdev, values.header(), what));
    // A driver that was reconfigured in between has another list now.
    if (names.header()->len != count || values.header()->n_stats != count) {
      return Error(ErrorCode::kBusy, what + ": their number changed meanwhile", "try again");
    }
    return joined(names.behind(), values.behind(), count);
  }

 private:
  static Result<void> ask(int socket, const std::string& netdev, void* command,
                          const std::string& what) {
    ifreq request{};
    netdev.copy(request.ifr_name, IFNAMSIZ - 1);
    request.ifr_data = static_cast<char*>(command);
    if (::ioctl(socket, SIOCETHTOOL, &request) == 0) return {};
    return Error::fromErrno(errno, what);
  }

  static std::map<std::string, std::uint64_t> joined(const std::byte* names,
                                                     const std::byte* values, std::uint32_t count) {
    std::map<std::string, std::uint64_t> counters;
    for (std::size_t i = 0; i < count; ++i) {
      const auto* name = reinterpret_cast<const char*>(names) + i * ETH_GSTRING_LEN;
      std::uint64_t value = 0;
      std::memcpy(&value, values + i * sizeof value, sizeof value);
      counters.insert_or_assign(std::string(name, ::strnlen(name, ETH_GSTRING_LEN)), value);
    }
    return counters;
  }
};

}  // namespace

std::unique_ptr<DriverCounters> openDriverCounters() { return std::make_unique<KernelCounters>(); }

}  // namespace railhead::netlink
