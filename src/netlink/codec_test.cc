#include "src/netlink/codec.h"

#include "src/base/random.h"
#include "src/netlink/rdma_counters.h"

#include <cstring>

#include <gtest/gtest.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <rdma/rdma_netlink.h>

namespace railhead::netlink {
namespace {

// Builds a message the way the kernel does.
class Message {
 public:
  template <typename T>
  Message& header(const T& value) {
    append(&value, sizeof value);
    return *this;
  }
  Message& put(std::uint16_t type, const void* data, std::size_t size) {
    const nlattr header{static_cast<std::uint16_t>(sizeof(nlattr) + size), type};
    append(&header, sizeof header);
    append(data, size);
    bytes_.resize((bytes_.size() + 3) & ~std::size_t{3});
    return *this;
  }
  Message& text(std::uint16_t type, const std::string& value) {
    return put(type, value.c_str(), value.size() + 1);
  }
  template <typename T>
  Message& value(std::uint16_t type, T number) {
    return put(type, &number, sizeof number);
  }
  Message& nest(std::uint16_t type, const Message& inner) {
    return put(type, inner.bytes_.data(), inner.bytes_.size());
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

TEST(Codec, ReadsRoutes) {
  rtmsg header{};
  header.rtm_family = AF_INET;
  header.rtm_type = RTN_UNICAST;
  header.rtm_table = RT_TABLE_COMPAT;
  header.rtm_dst_len = 16;
  const std::uint8_t destination[] = {10, 200, 0, 0};
  const std::uint8_t gateway[] = {10, 100, 0, 1};
  const std::uint8_t source[] = {10, 100, 0, 5};
  const auto message = [&] {
    Message built;
    built.header(header)
        .put(RTA_DST, destination, sizeof destination)
        .put(RTA_GATEWAY, gateway, sizeof gateway)
        .put(RTA_PREFSRC, source, sizeof source)
        .value<std::uint32_t>(RTA_OIF, 4)
        .value<std::uint32_t>(RTA_PRIORITY, 7)
        .value<std::uint32_t>(RTA_TABLE, 1001);
    return built;
  };
  const auto route = *parseRoute(message().bytes());
  ASSERT_TRUE(route.has_value());
  const Route wanted{*IpPrefix::parse("10.200.0.0/16"), *IpAddress::parse("10.100.0.1"), 4, 1001, 7,
                     *IpAddress::parse("10.100.0.5")};
  EXPECT_EQ(*route, wanted);
  auto multipath = message();
  multipath.put(RTA_MULTIPATH, gateway, sizeof gateway);
  EXPECT_FALSE(parseRoute(multipath.bytes())->has_value());
  header.rtm_type = RTN_BROADCAST;
  EXPECT_FALSE(parseRoute(message().bytes())->has_value());
  EXPECT_FALSE(parseRoute(message().bytes().first(3)).has_value());
}

TEST(Codec, ReadsALink) {
  ifinfomsg header{};
  header.ifi_index = 7;
  header.ifi_flags = IFF_UP;
  const std::uint8_t mac[] = {2, 0, 0, 0, 0, 9};
  const std::uint8_t permanent[] = {0, 2, 0xc9, 0, 0, 9};
  Message info;
  info.text(IFLA_INFO_KIND, "veth");
  Message message;
  message.header(header)
      .text(IFLA_IFNAME, "net1")
      .put(IFLA_ADDRESS, mac, 6)
      .value<std::uint32_t>(IFLA_MTU, 9000);
  message.value<std::uint8_t>(IFLA_CARRIER, 1)
      .text(IFLA_PARENT_DEV_NAME, "0000:01:10.0")
      .put(IFLA_PERM_ADDRESS, permanent, 6)
      .nest(IFLA_LINKINFO, info);
  const auto link = parseLink(message.bytes());
  ASSERT_TRUE(link.has_value());
  EXPECT_EQ(link->index, 7);
  EXPECT_EQ(link->name, "net1");
  EXPECT_EQ(link->mac.toString(), "02:00:00:00:00:09");
  EXPECT_EQ(link->permanentMac.toString(), "00:02:c9:00:00:09");
  EXPECT_EQ(link->mtu, 9000);
  EXPECT_TRUE(link->up);
  EXPECT_TRUE(link->carrier);
  EXPECT_EQ(link->parentDevice, "0000:01:10.0");
  EXPECT_EQ(link->kind, "veth");
}

TEST(Codec, ReadsVfSettingsInOrder) {
  Message vlan;
  vlan.put(IFLA_VF_VLAN_INFO, "\0\0\0\0\x05\0\0\0\x02\0\0\0\x81\x00\0\0", 16);
  ifla_vf_mac mac{};
  mac.vf = 1;
  mac.mac[0] = 2;
  mac.mac[5] = 0x11;
  Message info;
  info.value(IFLA_VF_MAC, mac).nest(IFLA_VF_VLAN_LIST, vlan);
  info.value(IFLA_VF_SPOOFCHK, ifla_vf_spoofchk{1, 1})
      .value(IFLA_VF_TRUST, ifla_vf_trust{1, 0xffffffff});
  info.value(IFLA_VF_LINK_STATE, ifla_vf_link_state{1, IFLA_VF_LINK_STATE_DISABLE});
  info.value(IFLA_VF_RATE, ifla_vf_rate{1, 10, 200});
  Message stats;
  stats.value(IFLA_VF_STATS_RX_PACKETS, std::uint64_t{3})
      .value(IFLA_VF_STATS_TX_BYTES, std::uint64_t{1} << 40);
  stats.value(IFLA_VF_STATS_TX_DROPPED, std::uint64_t{7});
  info.nest(IFLA_VF_STATS, stats);
  Message zero;
  Message noStats;
  noStats.value(IFLA_VF_STATS_RX_BYTES, std::uint64_t{0});
  zero.value(IFLA_VF_MAC, ifla_vf_mac{}).nest(IFLA_VF_STATS, noStats);
  Message list;
  list.nest(IFLA_VF_INFO, info).nest(IFLA_VF_INFO, zero);
  Message message;
  message.header(ifinfomsg{}).nest(IFLA_VFINFO_LIST, list);
  const auto vfs = parseVfs(message.bytes());
  ASSERT_TRUE(vfs.has_value());
  ASSERT_EQ(vfs->size(), 2U);
  EXPECT_EQ((*vfs)[0].index, 0);
  const auto traffic = parseVfTraffic(message.bytes());
  ASSERT_TRUE(traffic.has_value());
  ASSERT_EQ(traffic->size(), 1U) << "a VF without counters is absent, not zero";
  EXPECT_EQ((*traffic)[0].vf, 1);
  EXPECT_EQ((*traffic)[0].receivePackets, 3U);
  EXPECT_EQ((*traffic)[0].transmitBytes, std::uint64_t{1} << 40);
  EXPECT_EQ((*traffic)[0].transmitDropped, 7U);
  EXPECT_EQ((*traffic)[0].receiveBytes, 0U);
  const VfSettings& vf = (*vfs)[1];
  EXPECT_EQ(vf.mac.toString(), "02:00:00:00:00:11");
  EXPECT_EQ(vf.vlan, 5);
  EXPECT_EQ(vf.vlanQos, 2);
  EXPECT_EQ(vf.vlanProtocol, 0x8100);
  EXPECT_TRUE(vf.spoofCheck);
  EXPECT_FALSE(vf.trust);
  EXPECT_EQ(vf.linkState, VfLinkState::kDisable);
  EXPECT_EQ(vf.maxTxRate, 200);
}

TEST(Codec, PrefersTheLocalAddress) {
  ifaddrmsg header{};
  header.ifa_family = AF_INET;
  header.ifa_prefixlen = 24;
  header.ifa_index = 3;
  Message message;
  message.header(header)
      .put(IFA_ADDRESS, "\x0a\x64\x00\xfe", 4)
      .put(IFA_LOCAL, "\x0a\x64\x00\x05", 4);
  const auto address = parseAddress(message.bytes());
  ASSERT_TRUE(address.has_value());
  EXPECT_EQ(address->prefix.toString(), "10.100.0.5/24");
  EXPECT_EQ(address->linkIndex, 3);
}

TEST(Codec, ReadsRdmaDevicesPortsAndMode) {
  Message device;
  device.value<std::uint32_t>(RDMA_NLDEV_ATTR_DEV_INDEX, 2).text(RDMA_NLDEV_ATTR_DEV_NAME, "rxe0");
  device.value<std::uint64_t>(RDMA_NLDEV_ATTR_NODE_GUID, 0x02005efffe100001);
  EXPECT_EQ(parseRdmaDevice(device.bytes())->nodeGuid.toString(), "0200:5eff:fe10:0001");
  device.value<std::uint32_t>(RDMA_NLDEV_ATTR_PORT_INDEX, 1)
      .value<std::uint8_t>(RDMA_NLDEV_ATTR_PORT_STATE, 4);
  device.text(RDMA_NLDEV_ATTR_NDEV_NAME, "net1");
  const auto port = parseRdmaPort(device.bytes());
  EXPECT_TRUE(port->active);
  EXPECT_EQ(port->netdev, "net1");
  Message mode;
  mode.value<std::uint8_t>(RDMA_NLDEV_SYS_ATTR_NETNS_MODE, 1);
  EXPECT_EQ(*parseRdmaNetnsMode(mode.bytes()), RdmaNetnsMode::kShared);
}

TEST(Codec, ReadsRdmaCounters) {
  Message sent;
  sent.text(RDMA_NLDEV_ATTR_STAT_HWCOUNTER_ENTRY_NAME, "sent_pkts")
      .value<std::uint64_t>(RDMA_NLDEV_ATTR_STAT_HWCOUNTER_ENTRY_VALUE, 1234567890123);
  Message torn;
  torn.text(RDMA_NLDEV_ATTR_STAT_HWCOUNTER_ENTRY_NAME, "rcvd_pkts")
      .value<std::uint32_t>(RDMA_NLDEV_ATTR_STAT_HWCOUNTER_ENTRY_VALUE, 7);
  Message table;
  table.nest(RDMA_NLDEV_ATTR_STAT_HWCOUNTER_ENTRY, sent)
      .nest(RDMA_NLDEV_ATTR_STAT_HWCOUNTER_ENTRY, torn);
  Message answer;
  answer.value<std::uint32_t>(RDMA_NLDEV_ATTR_DEV_INDEX, 2)
      .nest(RDMA_NLDEV_ATTR_STAT_HWCOUNTERS, table);
  const auto counts = parseRdmaCounters(answer.bytes());
  ASSERT_TRUE(counts.has_value()) << counts.error().describe();
  EXPECT_EQ(*counts, (std::map<std::string, std::uint64_t>{{"sent_pkts", 1234567890123}}));
  EXPECT_EQ(parseRdmaCounters({}).error().code, ErrorCode::kUnsupported);
}

TEST(Codec, SurvivesAnyBytes) {
  EXPECT_EQ(parseLink({}).error().code, ErrorCode::kCorrupt);
  EXPECT_FALSE(parseRdmaDevice({}).has_value());
  EXPECT_FALSE(parseRdmaNetnsMode({}).has_value());
  SplitMix random(1);
  for (int round = 0; round < 20000; ++round) {
    std::vector<std::uint8_t> bytes(random.next() % 96);
    // Small lengths make nested attributes likely.
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random.next() % 24);
    const auto link = parseLink(bytes);
    EXPECT_EQ(link.has_value(), bytes.size() >= sizeof(ifinfomsg));
    const auto vfs = parseVfs(bytes);
    EXPECT_LE(vfs.has_value() ? vfs->size() : 0, bytes.size());
    static_cast<void>(parseAddress(bytes));
    static_cast<void>(parseRoute(bytes));
    static_cast<void>(parseRdmaPort(bytes));
    static_cast<void>(parseRdmaCounters(bytes));
  }
}

}  // namespace
}  // namespace railhead::netlink
