// The first byte chooses the reader, the rest is the message.
#include "src/netlink/events.h"
#include "src/netlink/rdma_counters.h"
#include "tests/fuzz/promise.h"
#include "tests/fuzz/targets.h"

namespace railhead::fuzz {
namespace {

constexpr std::size_t kLongestNews = 160;

bool told(const std::optional<std::string>& news) {
  must(news.value_or("").size() <= kLongestNews, "news is short");
  return news.has_value();
}

}  // namespace

bool kernelMessages(std::string_view input) {
  const unsigned char reader = cutByte(input);
  const netlink::Bytes bytes(reinterpret_cast<const std::uint8_t*>(input.data()), input.size());
  switch (reader) {
    case 'U': {
      const auto news = netlink::tellUevent(bytes);
      return told(news ? std::optional(news->what) : std::nullopt);
    }
    case 'L':
      return told(netlink::tellLink(false, bytes));
    case 'V':
      taken(netlink::parseVfTraffic(bytes));
      return taken(netlink::parseVfs(bytes));
    case 'A':
      return taken(netlink::parseAddress(bytes));
    case 'R':
      return taken(netlink::parseRoute(bytes));
    case 'r':
      return taken(netlink::parseRule(bytes));
    case 'D': {
      const bool mode = taken(netlink::parseRdmaNetnsMode(bytes));
      const bool port = taken(netlink::parseRdmaPort(bytes));
      const bool counts = taken(netlink::parseRdmaCounters(bytes));
      return taken(netlink::parseRdmaDevice(bytes)) || port || mode || counts;
    }
    default:
      return false;
  }
}

}  // namespace railhead::fuzz
