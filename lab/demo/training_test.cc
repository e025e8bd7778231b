#include "lab/demo/training.h"

#include "lab/demo/scenario.h"
#include "src/train/run_file.h"
#include "tests/support/temporary_folder.h"

#include <fstream>
#include <iterator>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::lab {
namespace {

using testing::HasSubstr;

TEST(Training, ItsRunFileIsOneThatTrainTakes) {
  const testing_support::TemporaryFolder folder;
  const auto topology = loadTopology("two-sparks");
  ASSERT_TRUE(topology.has_value());
  ASSERT_TRUE(prepareTraining({"railhead", "demo", folder.path()}, *topology).has_value());
  std::ifstream file(folder.path() + "/run.yaml");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const auto run = train::parseRunFile(text, "run.yaml");
  ASSERT_TRUE(run.has_value()) << run.error().message;
  EXPECT_EQ(run->ranks, 2);
  EXPECT_EQ(run->command.front(), "railhead-train");
  EXPECT_EQ(run->data.at(0).path, "text.txt");
  EXPECT_TRUE(std::ifstream(folder.path() + "/text.txt").good());
}

TEST(Training, AddsUpWhatAPodSent) {
  const auto counters = parsePodCounters(
      "[{\"ifname\":\"rxe0\",\"port\":1,\"sent_pkts\":120,\"rcvd_pkts\":7}]\n"
      "[{\"ifname\":\"rxe1\",\"port\":1,\"sent_pkts\":34}]\nIp: Forwarding OutRequests\nIp: 1 77\n"
      "Tcp: RtoAlgorithm InSegs OutSegs RetransSegs\nTcp: 1 88 99 0\nUdp: InDatagrams\nUdp: 5\n");
  ASSERT_TRUE(counters.has_value());
  EXPECT_EQ(counters->rdmaPackets, 154U);
  EXPECT_EQ(counters->tcpSegments, 99U);
  for (const char* bad : {"", "[{}]\nTcp: OutSegs\nTcp: 5\n", "[{\"sent_pkts\":-1}]\nTcp: OutSegs\nTcp: 5\n",
                          "Tcp: InSegs OutSegs\n", "Tcp: InSegs\nTcp: 5\n",
                          "Tcp: InSegs OutSegs\nTcp: 5\n", "Tcp: OutSegs\nTcp: many\n"}) {
    EXPECT_FALSE(parsePodCounters(bad).has_value()) << bad;
  }
}

TEST(Training, OnlyWhatRdmaAloneCanHaveCarriedIsBelieved) {
  report::Training training;
  training.bytesNeeded = 1'000'000;
  training.rdmaPackets = 1000;
  training.tcpSegments = 100;
  training.wireBytes = 1'100'000;
  EXPECT_EQ(doubtOf(training, 1500), "");
  auto other = training;
  other.rdmaPackets = 600;
  EXPECT_THAT(doubtOf(other, 1500), HasSubstr("600 RDMA packets cannot hold them"));
  other = training;
  other.tcpSegments = 700;
  EXPECT_THAT(doubtOf(other, 1500), HasSubstr("700 TCP segments could hold them"));
  other = training;
  other.wireBytes = 999'999;
  EXPECT_THAT(doubtOf(other, 1500), HasSubstr("the links passed on 999999"));
  // No RDMA packet is larger than 4096 bytes, whatever the interface's MTU.
  other = training;
  other.rdmaPackets = 200;
  EXPECT_NE(doubtOf(other, 9000), "");
}

TEST(Training, IsForNodesThatAllReachEachOther) {
  for (const auto& name : builtinTopologies()) {
    EXPECT_TRUE(allReachAll(*loadTopology(name))) << name;
  }
  const auto chain = parseTopology(
      "{name: t, nodes: [{name: a, pfs: [{name: p}]}, {name: b, pfs: [{name: p}, {name: q}]},"
      " {name: c, pfs: [{name: p}]}],"
      " links: [{name: x, rate: 1Mbit, ends: [a/p, b/p]},"
      " {name: y, rate: 1Mbit, ends: [b/q, c/p]}]}",
      "t");
  ASSERT_TRUE(chain.has_value()) << chain.error().message;
  EXPECT_FALSE(allReachAll(*chain));
}

}  // namespace
}  // namespace railhead::lab
