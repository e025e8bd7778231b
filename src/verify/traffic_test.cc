#include "src/verify/traffic.h"

#include "tests/support/fake_ethtool.h"
#include "tests/support/tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::verify {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;
using testing::SizeIs;

constexpr std::uint64_t kGiB = 1ULL << 30;

struct AskedCounters final : netlink::RdmaCounters {
  Result<std::map<std::string, std::uint64_t>> read(const std::string& device) override {
    ++reads;
    if (device == "rocep1s0f0") return nic;
    if (device != "rxe0") return Error(ErrorCode::kNotFound, device);
    return std::map<std::string, std::uint64_t>{
        {"sent_pkts", packets}, {"rcvd_pkts", packets}, {"completer_retry_err", 0}};
  }
  std::uint64_t packets = 0;
  std::map<std::string, std::uint64_t> nic;
  int reads = 0;
};

class TrafficTest : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"spark_vfs", "spark_counters"}) {
      const auto tree = testing_support::readTree(name);
      ASSERT_TRUE(tree.has_value()) << tree.error().describe();
      testing_support::putTree(*tree, files_);
    }
  }
  // A soft-RoCE device on eth1 as rdma_rxe shows it.
  void putSoft(std::uint64_t bytes, std::uint64_t packets, std::uint64_t segments) {
    files_.put("/sys/class/infiniband/rxe0/parent", "eth1\n");
    const std::string port = "/sys/class/infiniband/rxe0/ports/1/hw_counters/";
    files_.put(port + "sent_pkts", std::to_string(packets) + "\n");
    files_.put(port + "rcvd_pkts", std::to_string(packets) + "\n");
    files_.put("/sys/class/net/eth1/mtu", "1500\n");
    files_.put("/sys/class/net/eth1/statistics/tx_bytes", std::to_string(bytes) + "\n");
    files_.put("/sys/class/net/eth1/statistics/rx_bytes", std::to_string(bytes) + "\n");
    files_.put("/proc/net/snmp",
               "Ip: Forwarding\nIp: 1\nTcp: RtoAlgorithm InSegs OutSegs RetransSegs\nTcp: 1 " +
                   std::to_string(segments) + " " + std::to_string(segments) + " 0\n");
  }
  Traffic read(const std::vector<InterfaceName>& names) {
    return readTraffic(files_, paths_, &driver_, names);
  }

  testing_support::MemoryFilesystem files_;
  os::HostPaths paths_;
  testing_support::FakeDriverCounters driver_;
};

TEST_F(TrafficTest, ReadsSysfsWhereTheDriverTellsNothing) {
  const auto traffic = read({{"rocep1s0f0", "enp1s0f0np0"}, {"", "lo"}});
  ASSERT_THAT(traffic.interfaces, SizeIs(2));
  const auto& rail = traffic.interfaces[0];
  EXPECT_EQ(rail.rdmaBytes.received, 1'000'000'000'000U) << "port_rcv_data counts by fours";
  EXPECT_EQ(rail.netdevBytes.sent, 880123U);
  EXPECT_EQ(rail.retransmits, 12U + 15 + 1 + 2);
  EXPECT_EQ(rail.cnpSent, 4411U);
  EXPECT_EQ(rail.mtu, 9000);
  EXPECT_FALSE(rail.wireBytes.sent.has_value());
  EXPECT_FALSE(rail.software);
  EXPECT_FALSE(traffic.interfaces[1].netdevBytes.sent.has_value());
  EXPECT_FALSE(traffic.tcp.has_value());
}

TEST_F(TrafficTest, PrefersTheDriversOwnCounters) {
  driver_.set("enp1s0f0np0", "tx_vport_rdma_unicast_bytes", 7);
  driver_.set("enp1s0f0np0", "rx_vport_rdma_unicast_bytes", 8);
  driver_.set("enp1s0f0np0", "tx_vport_unicast_bytes", 5);
  driver_.set("enp1s0f0np0", "rx_vport_unicast_bytes", 6);
  driver_.set("enp1s0f0np0", "tx_bytes_phy", 100);
  driver_.set("enp1s0f0np0", "rx_bytes_phy", 200);
  const auto traffic = read({{"rocep1s0f0", "enp1s0f0np0"}});
  EXPECT_EQ(traffic.interfaces[0].rdmaBytes.sent, 7U);
  EXPECT_EQ(traffic.interfaces[0].netdevBytes.received, 6U);
  EXPECT_EQ(traffic.interfaces[0].wireBytes.sent, 100U);
}

TEST_F(TrafficTest, TellsRdmaFromTcpOfARealNic) {
  const InterfaceName rail{"rocep1s0f0", "enp1s0f0np0"};
  const auto set = [&](std::uint64_t rdma, std::uint64_t tcp, std::uint64_t wire) {
    for (const std::string way : {"tx", "rx"}) {
      driver_.set("enp1s0f0np0", way + "_vport_rdma_unicast_bytes", rdma);
      driver_.set("enp1s0f0np0", way + "_vport_unicast_bytes", tcp);
      driver_.set("enp1s0f0np0", way + "_bytes_phy", wire);
    }
  };
  set(10, 20, 30);
  const auto before = read({rail});
  set(10 + kGiB, 20 + 4096, 30 + kGiB);
  const auto moved = movedBytes(difference(before, read({rail})), Side::kSend);
  EXPECT_EQ(moved.rdma, kGiB);
  EXPECT_EQ(moved.tcp, 4096U);
  EXPECT_EQ(moved.wire, kGiB);
  EXPECT_THAT(moved.rails, ElementsAre(Pair("rocep1s0f0", kGiB)));
  EXPECT_THAT(moved.sums, testing::Contains(HasSubstr("counted by the NIC")));
}

TEST_F(TrafficTest, TellsSoftRoceFromTcp) {
  const InterfaceName rail{"rxe0", "eth1"};
  putSoft(0, 0, 0);
  const auto before = read({rail});
  EXPECT_TRUE(before.interfaces[0].software);
  // 1 GiB in packets of 1024, headers and all; TCP had its control connection.
  putSoft(kGiB + kGiB / 12, kGiB / 1024 * 2, 40);
  const auto rdma = movedBytes(difference(before, read({rail})), Side::kSend);
  ASSERT_TRUE(rdma.rdma && rdma.tcp);
  EXPECT_GE(*rdma.rdma, kGiB);
  EXPECT_LE(*rdma.tcp, 40U * 1500);
  // The same bytes over TCP: segments for all of them, no RoCE packets.
  putSoft(kGiB + kGiB / 12, 0, kGiB / 1448);
  const auto sockets = movedBytes(difference(before, read({rail})), Side::kSend);
  EXPECT_LT(sockets.rdma.value_or(0), kGiB / 20);
  EXPECT_GE(*sockets.tcp, kGiB);
}

// In a pod of a node that shares its RDMA devices sysfs has no hw_counters.
TEST_F(TrafficTest, CountersThatSysfsHidesAreAsked) {
  const InterfaceName rail{"rxe0", "eth1"};
  AskedCounters asked;
  putSoft(0, 0, 0);
  files_.erase("/sys/class/infiniband/rxe0/ports/1/hw_counters");
  const auto before = readTraffic(files_, paths_, &driver_, {rail}, &asked);
  putSoft(kGiB + kGiB / 12, 0, 40);
  files_.erase("/sys/class/infiniband/rxe0/ports/1/hw_counters");
  asked.packets = kGiB / 1024 * 2;
  const auto after = readTraffic(files_, paths_, &driver_, {rail}, &asked);
  const auto moved = movedBytes(difference(before, after), Side::kReceive);
  ASSERT_TRUE(moved.rdma.has_value());
  EXPECT_GE(*moved.rdma, kGiB);
  EXPECT_FALSE(movedBytes(difference(before, read({rail})), Side::kReceive).rdma.has_value());
}

TEST_F(TrafficTest, SoAreANicsRetransmitsAndCongestionNotifications) {
  const InterfaceName rail{"rocep1s0f0", "enp1s0f0np0"};
  AskedCounters asked;
  asked.nic = {{"packet_seq_err", 3},
               {"local_ack_timeout_err", 4},
               {"np_cnp_sent", 5},
               {"rp_cnp_handled", 6},
               {"lifespan", 10}};
  const auto seen = readTraffic(files_, paths_, &driver_, {rail}, &asked).interfaces[0];
  EXPECT_EQ(asked.reads, 0) << "sysfs tells";
  EXPECT_NE(seen.retransmits, std::optional<std::uint64_t>(7));
  files_.erase(
      "/sys/devices/pci0000:00/0000:00:00.0/0000:01:00.0/infiniband/rocep1s0f0/ports/1/"
      "hw_counters");
  const auto hidden = readTraffic(files_, paths_, &driver_, {rail}, &asked).interfaces[0];
  EXPECT_EQ(hidden.retransmits, 7U);
  EXPECT_EQ(hidden.cnpSent, 5U);
  EXPECT_EQ(hidden.cnpHandled, 6U);
  EXPECT_EQ(hidden.rdmaBytes.received, seen.rdmaBytes.received) << "as far as sysfs has them";
  EXPECT_FALSE(readTraffic(files_, paths_, &driver_, {rail}).interfaces[0].retransmits.has_value());
}

TEST_F(TrafficTest, SoftRoceWithoutSegmentCountersProvesNothing) {
  const InterfaceName rail{"rxe0", "eth1"};
  putSoft(0, 0, 0);
  files_.erase("/proc/net/snmp");
  const auto before = read({rail});
  putSoft(kGiB, kGiB / 1024, 0);
  files_.erase("/proc/net/snmp");
  const auto moved = movedBytes(difference(before, read({rail})), Side::kSend);
  EXPECT_FALSE(moved.rdma.has_value());
  EXPECT_FALSE(moved.tcp.has_value());
}

TEST_F(TrafficTest, ACounterThatWentBackIsAbsentAndNoted) {
  const InterfaceName rail{"rxe0", "eth1"};
  putSoft(5000, 10, 1);
  const auto before = read({rail});
  putSoft(4000, 12, 1);
  const auto moved = difference(before, read({rail, {"", "eth9"}}));
  EXPECT_FALSE(moved.moved.interfaces[0].netdevBytes.sent.has_value());
  EXPECT_EQ(moved.moved.interfaces[0].rdmaPackets.sent, 2U);
  EXPECT_THAT(moved.notes, ElementsAre(HasSubstr("went back"), HasSubstr("went back"),
                                       HasSubstr("eth9 was not there")));
}

TEST_F(TrafficTest, HostileSnmpIsNoCounter) {
  for (const char* text : {"Tcp: ", "Tcp: InSegs OutSegs\nTcp: 1", "Tcp: InSegs OutSegs\nTcp: a b",
                           "Tcp: OutSegs\nTcp: 99999999999999999999999 1"}) {
    files_.put("/proc/net/snmp", text);
    EXPECT_FALSE(read({}).tcp.has_value()) << text;
  }
}

}  // namespace
}  // namespace railhead::verify
