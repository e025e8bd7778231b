#include "src/discover/counters.h"

#include "src/discover/discover.h"
#include "tests/support/tree.h"

#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::discover {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
using testing::SizeIs;

constexpr auto kNever = std::chrono::steady_clock::time_point::max();

std::map<std::string, std::uint64_t> byName(const std::vector<Counter>& counters) {
  std::map<std::string, std::uint64_t> out;
  for (const auto& one : counters) out[std::string(one.name)] = one.value;
  return out;
}

class CountersTest : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"spark_vfs", "spark_counters"}) {
      const auto tree = testing_support::readTree(name);
      ASSERT_TRUE(tree.has_value()) << tree.error().describe();
      testing_support::putTree(*tree, files_);
    }
    auto node = discoverNode(files_, paths_);
    ASSERT_TRUE(node.has_value()) << node.error().describe();
    node_ = std::move(*node);
  }

  testing_support::MemoryFilesystem files_;
  os::HostPaths paths_;
  Node node_;
};

TEST_F(CountersTest, ReadsWhatAPfHasCarried) {
  const auto report = readCounters(files_, paths_, node_, kNever);
  EXPECT_FALSE(report.cut);
  ASSERT_THAT(report.functions, SizeIs(2));
  const auto& pf = report.functions[0];
  EXPECT_EQ(pf.pf, "enp1s0f0np0");
  EXPECT_EQ(pf.vfIndex, -1);
  EXPECT_EQ(byName(pf.net)["receive_bytes"], 1200345U);
  EXPECT_EQ(byName(pf.net)["receive_dropped"], 3U);
  ASSERT_THAT(pf.rdma, SizeIs(1));
  EXPECT_EQ(pf.rdma[0].device, "rocep1s0f0");
  EXPECT_EQ(byName(pf.rdma[0].traffic)["receive_bytes"], 1'000'000'000'000U) << "counted by fours";
  EXPECT_EQ(byName(pf.rdma[0].traffic)["transmit_packets"], 244140700U);
  EXPECT_EQ(byName(pf.rdma[0].retransmits)["packet_seq_err"], 12U);
  EXPECT_EQ(byName(pf.rdma[0].retransmits)["local_ack_timeout_err"], 1U);
  EXPECT_THAT(byName(pf.rdma[0].congestion),
              ElementsAre(Pair("cnp_handled", 3822), Pair("cnp_sent", 4411),
                          Pair("ecn_marked_packets", 9110)));
}

TEST_F(CountersTest, WhatCannotBeReadIsAbsent) {
  const auto report = readCounters(files_, paths_, node_, kNever);
  ASSERT_THAT(report.functions, SizeIs(2));
  const auto& vf = report.functions[1];
  EXPECT_EQ(vf.vfIndex, 0);
  EXPECT_EQ(byName(vf.net).count("receive_errors"), 0U);
  EXPECT_EQ(byName(vf.net)["transmit_bytes"], 446U);
  ASSERT_THAT(vf.rdma, SizeIs(1));
  EXPECT_THAT(byName(vf.rdma[0].traffic), ElementsAre(Pair("receive_bytes", testing::_)));
  EXPECT_THAT(vf.rdma[0].retransmits, IsEmpty());
}

TEST_F(CountersTest, ReadsNoMoreOnceItIsTime) {
  const auto report = readCounters(files_, paths_, node_, std::chrono::steady_clock::now());
  EXPECT_TRUE(report.cut);
  EXPECT_THAT(report.functions, IsEmpty());
}

}  // namespace
}  // namespace railhead::discover
