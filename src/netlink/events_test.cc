#include "src/netlink/events.h"

#include "src/base/random.h"

#include <cstring>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

namespace railhead::netlink {
namespace {

using std::chrono::seconds;
using std::chrono::steady_clock;

class LinkMessage {
 public:
  explicit LinkMessage(unsigned flags) {
    ifinfomsg header{};
    header.ifi_index = 7;
    header.ifi_flags = flags;
    append(&header, sizeof header);
  }
  LinkMessage& put(std::uint16_t type, const std::string& data) {
    const nlattr header{static_cast<std::uint16_t>(sizeof(nlattr) + data.size()), type};
    append(&header, sizeof header);
    append(data.data(), data.size());
    bytes_.resize((bytes_.size() + 3) & ~std::size_t{3});
    return *this;
  }
  LinkMessage& name(const std::string& name) { return put(IFLA_IFNAME, name + '\0'); }
  LinkMessage& carrier(bool on) { return put(IFLA_CARRIER, std::string(1, on ? '\1' : '\0')); }
  LinkMessage& kind(const std::string& kind) {
    const nlattr inner{static_cast<std::uint16_t>(sizeof(nlattr) + kind.size() + 1),
                       IFLA_INFO_KIND};
    std::string nested(reinterpret_cast<const char*>(&inner), sizeof inner);
    return put(IFLA_LINKINFO, nested + kind + '\0');
  }
  Bytes bytes() const { return bytes_; }

 private:
  void append(const void* data, std::size_t size) {
    const auto at = bytes_.size();
    bytes_.resize(at + size);
    std::memcpy(bytes_.data() + at, data, size);
  }
  std::vector<std::uint8_t> bytes_;
};

std::optional<std::string> uevent(std::string_view text) {
  const auto told = tellUevent({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
  return told ? std::optional<std::string>(told->what) : std::nullopt;
}

TEST(NodeEvents, HardwareLinksAreToldWithTheirState) {
  EXPECT_EQ(tellLink(false, LinkMessage(IFF_UP).name("enp1s0f0np0").carrier(true).bytes()),
            "link enp1s0f0np0: up, carrier");
  EXPECT_EQ(tellLink(false, LinkMessage(IFF_UP).name("enp1s0f0np0").carrier(false).bytes()),
            "link enp1s0f0np0: up, no carrier");
  EXPECT_EQ(tellLink(true, LinkMessage(0).name("enp1s0f0v2").bytes()), "link enp1s0f0v2: gone");
}

TEST(NodeEvents, VirtualLinksAndTheLoopbackAreNot) {
  EXPECT_FALSE(tellLink(false, LinkMessage(IFF_UP).name("veth12").kind("veth").bytes()));
  // An InfiniBand port has no other messenger.
  EXPECT_EQ(tellLink(false, LinkMessage(IFF_UP).name("ib0").kind("ipoib").carrier(false).bytes()),
            "link ib0: up, no carrier");
  EXPECT_FALSE(tellLink(false, LinkMessage(IFF_UP).name("lo").bytes()));
  EXPECT_FALSE(tellLink(false, {}));
}

TEST(NodeEvents, UeventsOfPciAndInfinibandAreTold) {
  using namespace std::string_view_literals;
  EXPECT_EQ(uevent("unbind@/devices/pci0000:00/0000:00:02.0/0000:01:10.0\0ACTION=unbind\0"
                   "DEVPATH=/devices/pci0000:00/0000:00:02.0/0000:01:10.0\0SUBSYSTEM=pci\0"
                   "PCI_CLASS=20000\0SEQNUM=1234\0"sv),
            "pci 0000:01:10.0: unbind");
  EXPECT_EQ(uevent("add@/x\0ACTION=add\0DEVPATH=/devices/x/infiniband/rxe0\0"
                   "SUBSYSTEM=infiniband"sv),
            "infiniband rxe0: add");
  EXPECT_FALSE(uevent("add@/x\0ACTION=add\0DEVPATH=/devices/x/net/eth0\0SUBSYSTEM=net\0"sv));
  EXPECT_FALSE(uevent("libudev\0\xfe\xed\xca\xfe"sv));
  EXPECT_FALSE(uevent(""));
}

TEST(NodeEvents, AnyBytesAreSurvived) {
  SplitMix random(20261124);
  const auto below = [&](std::size_t bound) {
    return static_cast<std::size_t>(random.next() % bound);
  };
  const auto whole = LinkMessage(IFF_UP).name("enp1s0").kind("veth").carrier(true);
  for (int round = 0; round < 20000; ++round) {
    std::vector<std::uint8_t> bytes(whole.bytes().begin(), whole.bytes().end());
    for (int i = 0; i < 3; ++i) {
      bytes[below(bytes.size())] = static_cast<std::uint8_t>(below(256));
    }
    bytes.resize(below(bytes.size() + 1));
    const auto told = tellLink(false, bytes);
    EXPECT_LE(told.value_or("").size(), 128U);
    const auto device = tellUevent(bytes);
    EXPECT_LE(device.value_or(UeventNews()).what.size(), 160U);
  }
}

TEST(NodeEvents, TheKernelsSocketsOpenAndAWakeEndsTheWait) {
  auto events = openNodeEvents();
  ASSERT_TRUE(events.has_value()) << events.error().describe();
  (*events)->wake();
  EXPECT_TRUE((*events)->wait(steady_clock::now() + seconds(60), {}).woken);
  std::thread other([&] { (*events)->wake(); });
  NodeNews news;
  while (!news.woken) news = (*events)->wait(steady_clock::now() + seconds(60), {});
  other.join();
  EXPECT_TRUE(news.woken);
  // Nothing until the deadline, unless this machine's own links change just now.
  news = (*events)->wait(steady_clock::now(), {});
  EXPECT_FALSE(news.woken);
}

}  // namespace
}  // namespace railhead::netlink
