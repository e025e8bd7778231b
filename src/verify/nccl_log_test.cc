#include "src/verify/nccl_log.h"

#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::verify {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

std::string fixture(const std::string& name) {
  std::ifstream in("tests/fixtures/nccl/" + name + ".log");
  std::ostringstream text;
  text << in.rdbuf();
  EXPECT_FALSE(text.str().empty()) << name;
  return text.str();
}

NcclLog logOf(std::string_view text, LogBounds bounds = {}) {
  NcclLog log(bounds);
  NcclLogStream stream(log);
  stream.feed(text);
  stream.end();
  return log;
}

std::string info(int rank, const std::string& text) {
  return "host-" + std::to_string(rank) + ":" + std::to_string(100 + rank) + ":7 [0] NCCL INFO " +
         text + "\n";
}

// "send gdr 0 1" per distinct path of an end.
std::string told(const char* side, const EndPaths& end) {
  std::string out = side;
  for (const auto& path : end.paths) {
    out += " " + path.carrier + "/" + std::to_string(path.device) + (path.gdr ? "/gdr" : "") +
           (path.gdrOverPci ? "/pci" : "");
  }
  return out;
}

TEST(NcclLog, ReadsEveryVersionAndBothPlugins) {
  struct Row {
    const char* log;
    const char* version;
    const char* network;
    const char* send;
    const char* receive;
  };
  for (const Row& row : {
           Row{"2.18.1-ib", "2.18.1+cuda12.1", "IB", "send IB/0/gdr IB/1/gdr",
               "receive IB/0/gdr IB/1/gdr"},
           Row{"2.19.4-ibext", "2.19.4+cuda12.3", "IBext_v7", "send IBext_v7/0/gdr IBext_v7/1/gdr",
               "receive IBext_v7/0/gdr IBext_v7/1/gdr"},
           Row{"2.20.5-merged", "2.20.5+cuda12.4", "IB", "send IB/0/gdr", "receive IB/0/gdr"},
           Row{"2.21.5-receive-only", "2.21.5+cuda12.4", "IB", "send IB/0 IB/1",
               "receive IB/0/gdr IB/1/gdr"},
           Row{"2.23.4-sockets", "2.23.4+cuda12.6", "Socket", "send Socket/0", "receive Socket/0"},
           Row{"2.24.3-ib-staged", "2.24.3+cuda12.8", "IB", "send IB/0 IB/1", "receive IB/0 IB/1"},
           Row{"2.26.2-gh200-pci", "2.26.2+cuda12.8", "IB", "send IB/0/gdr/pci IB/1/gdr/pci",
               "receive IB/0/gdr/pci IB/1/gdr/pci"},
           Row{"2.27.7-spark-ib", "2.27.7+cuda13.0", "IB", "send IB/0 IB/1", "receive IB/0 IB/1"},
           Row{"2.28.9-spark-ibext", "2.28.9+cuda13.0", "IBext_v11", "send IBext_v11/0 IBext_v11/1",
               "receive IBext_v11/0 IBext_v11/1"},
           Row{"2.29.7-spark-one-twin", "2.29.7+cuda13.1", "IB", "send IB/0", "receive IB/0"},
           Row{"2.30.7-ib-shared", "2.30.7+cuda13.2", "IB", "send IB/0/gdr IB/1/gdr",
               "receive IB/0/gdr IB/1/gdr"},
       }) {
    const auto log = logOf(fixture(row.log));
    EXPECT_THAT(log.versions(), ElementsAre(row.version));
    EXPECT_EQ(log.statistics().damaged, 0U) << log.statistics().firstDamaged;
    EXPECT_THAT(log.communicators(), SizeIs(1)) << row.log;
    EXPECT_TRUE(log.communicators().at(0).named) << row.log;
    const auto pairs = log.pairs();
    ASSERT_THAT(pairs, SizeIs(2)) << row.log;
    for (const auto& pair : pairs) {
      EXPECT_EQ(told("send", pair.send), row.send) << row.log;
      EXPECT_EQ(told("receive", pair.receive), row.receive) << row.log;
      for (const auto* end : {&pair.send, &pair.receive}) {
        ASSERT_TRUE(end->process.has_value()) << row.log;
        EXPECT_THAT(log.processes()[*end->process].networks, ElementsAre(row.network)) << row.log;
        std::uint64_t channels = 0;
        for (const auto& path : end->paths) channels |= path.channels;
        EXPECT_EQ(channels, 0xfU) << row.log;
      }
    }
  }
}

TEST(NcclLog, ANicThatClaimsGdrIsNoPath) {
  const auto log = logOf(fixture("2.28.9-spark-ibext"));
  ASSERT_THAT(log.processes(), SizeIs(2));
  EXPECT_EQ(log.processes()[0].nicClaims.count, 2U);
  EXPECT_THAT(log.processes()[0].nicClaims.enabled, HasSubstr("(DMABUF) enabled for HCA"));
  EXPECT_EQ(log.processes()[0].ringGdr, false);
  for (const auto& pair : log.pairs()) {
    for (const auto& path : pair.send.paths) EXPECT_FALSE(path.gdr);
    for (const auto& path : pair.receive.paths) EXPECT_FALSE(path.gdr);
  }
}

TEST(NcclLog, KeepsOneClaimOfEachKind) {
  const auto log = logOf(info(0, "NET/IB : GPU Direct RDMA Enabled for HCA 0 'mlx5_0'") +
                         info(0, "NET/IB : GPU Direct RDMA Enabled for HCA 1 'mlx5_1'") +
                         info(0, "NET/IB : GPU Direct RDMA Disabled for HCA 2 'mlx5_2'"));
  const auto& claims = log.processes().at(0).nicClaims;
  EXPECT_EQ(claims.count, 3U);
  EXPECT_THAT(claims.enabled, HasSubstr("mlx5_0"));
  EXPECT_THAT(claims.disabled, HasSubstr("mlx5_2"));
  EXPECT_EQ(log.processes()[0].gpuClaims.count, 0U);
}

TEST(NcclLog, NamesTheDevicesOfAPath) {
  const auto spark = logOf(fixture("2.28.9-spark-ibext"));
  const auto pair = spark.pairs().at(0);
  ASSERT_THAT(pair.send.paths, SizeIs(2));
  EXPECT_THAT(spark.devicesOf(*pair.send.process, pair.send.paths[1]), ElementsAre("roceP2p1s0f0"));
  const auto merged = logOf(fixture("2.20.5-merged"));
  const auto other = merged.pairs().at(0);
  EXPECT_THAT(merged.devicesOf(*other.send.process, other.send.paths[0]),
              ElementsAre("mlx5_0", "mlx5_1"));
  const auto sockets = logOf(fixture("2.23.4-sockets"));
  const auto slow = sockets.pairs().at(0);
  EXPECT_THAT(sockets.devicesOf(*slow.send.process, slow.send.paths[0]), IsEmpty());
}

TEST(NcclLog, NamesWhatNcclCanOnlyHaveMadeOfOneDevice) {
  const auto devices = [](const std::string& listed, const std::string& way) {
    const auto log = logOf(info(0, "NET/IB : Using " + listed + " [RO]; OOB e:1<0>") +
                           info(0, "Channel 00/0 : 0[0] -> 1[0] [send] via NET/" + way));
    return log.devicesOf(0, log.pairs().at(0).send.paths.at(0));
  };
  EXPECT_THAT(devices("[0]mlx5_5:1/RoCE", "IB/1"), ElementsAre("mlx5_5"));
  EXPECT_THAT(devices("[0]mlx5_5:1/RoCE [1]mlx5_6:1/RoCE", "IB/2"), IsEmpty());
  // The numbers of another transport are not those of the verbs devices.
  EXPECT_THAT(devices("[0]mlx5_5:1/RoCE", "Socket/0"), IsEmpty());
  EXPECT_THAT(devices("[0]mlx5_5:1/RoCE", "AWS Libfabric/0"), IsEmpty());
}

TEST(NcclLog, TellsSettingsAndAlgorithms) {
  const auto log = logOf(fixture("2.27.7-spark-ib"));
  EXPECT_EQ(log.processes().at(0).settings.at("NCCL_NET_GDR_LEVEL"), "SYS");
  const auto tunings = log.tunings();
  ASSERT_THAT(tunings, SizeIs(2));
  EXPECT_EQ(tunings[0].protocol, "LL128");
  EXPECT_EQ(tunings[0].channels, 4);
  EXPECT_EQ(tunings[1].largest, 67108864U);
}

TEST(NcclLog, ReadsTheSameInAnyPieces) {
  const std::string text = fixture("2.28.9-spark-ibext");
  const auto whole = logOf(text).pairs();
  for (const std::size_t size : {1, 7, 64, 1000}) {
    NcclLog log;
    NcclLogStream stream(log);
    for (std::size_t at = 0; at < text.size(); at += size) {
      stream.feed(std::string_view(text).substr(at, size));
    }
    stream.end();
    const auto pairs = log.pairs();
    ASSERT_EQ(pairs.size(), whole.size());
    for (std::size_t i = 0; i < pairs.size(); ++i) {
      EXPECT_EQ(told("", pairs[i].send), told("", whole[i].send));
    }
    EXPECT_EQ(log.statistics().bytes, text.size());
  }
}

TEST(NcclLog, JoinsTheEndsFromSeveralFilesAndPrefixes) {
  NcclLog log;
  NcclLogStream first(log), second(log);
  first.feed("[1,0]<stdout>:" +
             info(0, "comm 0x1 rank 0 nranks 2 cudaDev 0 busId 1 commId 0x9 - Init START") +
             "\x1b[32m" + info(0, "Channel 00/0 : 0[0] -> 1[0] [send] via NET/IB/0"));
  second.feed("[pod/b/main] " +
              info(1, "comm 0x1 rank 1 nranks 2 cudaDev 0 busId 1 commId 0x9 - Init START"));
  second.feed(info(1, "Channel 00/0 : 0[0] -> 1[0] [receive] via NET/IB/0/GDRDMA"));
  first.end();
  second.end();
  const auto pairs = log.pairs();
  ASSERT_THAT(pairs, SizeIs(1));
  EXPECT_EQ(told("send", pairs[0].send), "send IB/0");
  EXPECT_EQ(told("receive", pairs[0].receive), "receive IB/0/gdr");
}

TEST(NcclLog, WhatIsDamagedIsCountedAndNoEvidence) {
  const auto log =
      logOf(info(0, "Channel 00/0 : 0[0] -> 1[0] [send] via NET/IB/0") +
            // Two processes wrote into each other's line.
            "host-0:100:7 [0] NCCL INFO Channel 01/0 : 0[0] -> 1[0] [send] via NET/IB/1" +
            info(1, "Channel 00/0 : 0[0] -> 1[0] [receive] via NET/IB/0") + "/GDRDMA\n" +
            // The process was killed while it wrote.
            "host-0:100:7 [0] NCCL INFO Channel 02/0 : 0[0] -> 1[0] [send] via NET/IB/2");
  EXPECT_EQ(log.statistics().damaged, 3U);
  EXPECT_THAT(log.statistics().firstDamaged, HasSubstr("NET/IB/1"));
  const auto pairs = log.pairs();
  ASSERT_THAT(pairs, SizeIs(1));
  EXPECT_EQ(told("send", pairs[0].send), "send IB/0");
  EXPECT_EQ(told("receive", pairs[0].receive), "receive IB/0");
}

TEST(NcclLog, KeepsCommunicatorsApart) {
  std::string text;
  for (int rank = 0; rank < 2; ++rank) {
    const std::string r = std::to_string(rank);
    text += info(rank, "ncclCommInitRank comm 0xa" + r + " rank " + r +
                           " nranks 4 cudaDev 0 nvmlDev 0 busId 1 commId 0x9 - Init START");
    if (rank == 0) text += info(0, "Channel 00/0 : 0[0] -> 1[0] [send] via NET/IB/0/GDRDMA");
    text += info(rank, "ncclCommInitRank comm 0xa" + r + " rank " + r +
                           " nranks 4 cudaDev 0 nvmlDev 0 busId 1 commId 0x9 - Init COMPLETE");
    text += info(rank, "ncclCommSplit comm 0xb" + r + " rank " + r +
                           " nranks 2 cudaDev 0 nvmlDev 0 busId 1 parent 0xa" + r +
                           " splitCount 1 color 0 key 0- Init START");
    if (rank == 0) text += info(0, "Channel 00/0 : 0[0] -> 1[1] via P2P/CUMEM");
    text += info(rank, "ncclCommSplit comm 0xb" + r + " rank " + r +
                           " nranks 2 cudaDev 0 nvmlDev 0 busId 1 parent 0xa" + r +
                           " splitCount 1 color 0 key 0 - Init COMPLETE");
  }
  const auto log = logOf(text);
  const auto communicators = log.communicators();
  ASSERT_THAT(communicators, SizeIs(2));
  EXPECT_EQ(communicators[0].rankCount, 4);
  EXPECT_EQ(communicators[1].rankCount, 2);
  EXPECT_THAT(communicators[1].processes, SizeIs(2)) << "a split is one communicator on all ranks";
  const auto pairs = log.pairs();
  ASSERT_THAT(pairs, SizeIs(2));
  EXPECT_EQ(pairs[0].send.paths.at(0).medium, Medium::kNet);
  EXPECT_EQ(pairs[1].send.paths.at(0).medium, Medium::kP2p);
}

TEST(NcclLog, SaysWhenCommunicatorsCannotBeToldApart) {
  const auto log =
      logOf(info(0, "comm 0xa rank 0 nranks 2 cudaDev 0 busId 1 commId 0x9 - Init COMPLETE") +
            info(0, "comm 0xb rank 0 nranks 2 cudaDev 0 busId 1 commId 0x8 - Init COMPLETE") +
            // Connected at the first collective, by a thread that names no communicator.
            info(0, "Channel 00/0 : 0[0] -> 1[0] [send] via NET/IB/0"));
  const auto pairs = log.pairs();
  ASSERT_THAT(pairs, SizeIs(1));
  const auto communicator = log.communicators().at(pairs[0].communicator);
  EXPECT_FALSE(communicator.named);
  EXPECT_TRUE(communicator.ambiguous);
}

std::string member(int process, const char* id, int rank, const char* state = "COMPLETE") {
  return info(process,
              std::string("ncclCommInitRank comm 0x") + id + " rank " + std::to_string(rank) +
                  " nranks 2 cudaDev 0 nvmlDev 0 busId 1 commId 0x" + id + " - Init " + state);
}

// Each communicator with a path of its own, as the lines tell it.
std::vector<bool> ambiguity(const NcclLog& log) {
  std::vector<bool> all;
  for (const auto& pair : log.pairs()) {
    all.push_back(log.communicators().at(pair.communicator).ambiguous);
  }
  return all;
}

TEST(NcclLog, CommunicatorsOfTheSameProcessesNeedNotBeToldApart) {
  const std::string ends = info(0, "Channel 00/0 : 0[0] -> 1[0] [send] via NET/IB/0") +
                           info(1, "Channel 00/0 : 0[0] -> 1[0] [receive] via NET/IB/0");
  const std::string first = member(0, "8", 0) + member(1, "8", 1);
  const auto same = logOf(first + member(1, "9", 1) + member(0, "9", 0) + ends);
  EXPECT_THAT(same.communicators(), SizeIs(2));
  EXPECT_THAT(ambiguity(same), ElementsAre(false));
  EXPECT_THAT(same.pairs()[0].receive.paths, SizeIs(1));
  // The other end is another process in the second one, or nobody knows which.
  EXPECT_THAT(ambiguity(logOf(first + member(0, "9", 0) + member(2, "9", 1) + ends)),
              testing::Contains(true));
  EXPECT_THAT(ambiguity(logOf(first + member(0, "9", 0) + ends)), testing::Contains(true));
}

TEST(NcclLog, AProcessThatNamesNoneIsInTheOnlyCommunicator) {
  const std::string start = member(0, "8", 0, "START");
  const std::string send = info(0, "Channel 00/0 : 0[0] -> 1[0] [send] via NET/IB/0");
  const std::string receive = info(1, "Channel 00/0 : 0[0] -> 1[0] [receive] via NET/IB/0");
  for (const auto& text : {receive + start + send, start + send + receive}) {
    const auto log = logOf(text);
    ASSERT_THAT(log.pairs(), SizeIs(1));
    EXPECT_THAT(log.pairs()[0].receive.paths, SizeIs(1));
    ASSERT_THAT(log.communicators(), SizeIs(1));
    EXPECT_TRUE(log.communicators()[0].named);
  }
  // There are two, or it has a rank that the only one lacks, or it is in one of its own.
  EXPECT_THAT(logOf(start + send + receive + member(2, "9", 0)).pairs(), SizeIs(2));
  EXPECT_THAT(
      logOf(start + send + receive + info(1, "Channel 00/0 : 1[0] -> 2[0] [send] via NET/IB/0"))
          .communicators(),
      SizeIs(2));
  EXPECT_THAT(logOf(receive + member(1, "8", 1, "START") + send).pairs(), SizeIs(2));
}

TEST(NcclLog, JoinsEndsThatNameNoCommunicator) {
  const auto log = logOf(info(0, "Channel 00/0 : 0[0] -> 1[0] [send] via NET/IB/0") +
                         info(1, "Channel 00/0 : 0[0] -> 1[0] [receive] via NET/IB/0") +
                         info(1, "Channel 00/0 : 1[0] -> 0[0] [send] via NET/IB/0"));
  const auto pairs = log.pairs();
  ASSERT_THAT(pairs, SizeIs(2));
  EXPECT_THAT(pairs[0].send.paths, SizeIs(1));
  EXPECT_THAT(pairs[0].receive.paths, SizeIs(1));
  EXPECT_FALSE(log.communicators().at(pairs[0].communicator).ambiguous);
}

TEST(NcclLog, AThousandRanks) {
  constexpr int kRanks = 1000;
  NcclLog log;
  NcclLogStream stream(log);
  for (int rank = 0; rank < kRanks; ++rank) {
    const std::string r = std::to_string(rank);
    const std::string next = std::to_string((rank + 1) % kRanks);
    const std::string before = std::to_string((rank + kRanks - 1) % kRanks);
    stream.feed(info(rank, "ncclCommInitRank comm 0xa rank " + r + " nranks 1000 cudaDev 0 " +
                               "nvmlDev 0 busId 1 commId 0x77 - Init START"));
    for (int channel = 0; channel < 16; ++channel) {
      const std::string begin = "Channel " + std::to_string(channel) + "/0 : ";
      const std::string way = "NET/IB/" + std::to_string(channel % 8) + "/GDRDMA";
      stream.feed(info(rank, begin + before + "[0] -> " + r + "[0] [receive] via " + way));
      stream.feed(info(rank, begin + r + "[0] -> " + next + "[0] [send] via " + way));
    }
  }
  stream.end();
  EXPECT_EQ(log.statistics().channelLines, 32000U);
  EXPECT_EQ(log.statistics().leftOut, 0U);
  EXPECT_THAT(log.processes(), SizeIs(kRanks));
  const auto pairs = log.pairs();
  ASSERT_THAT(pairs, SizeIs(kRanks));
  for (const auto& pair : pairs) {
    EXPECT_THAT(pair.send.paths, SizeIs(8));
    EXPECT_THAT(pair.receive.paths, SizeIs(8));
  }
}

TEST(NcclLog, StaysWithinItsBounds) {
  LogBounds bounds;
  bounds.line = 256;
  bounds.pairs = 10;
  bounds.processes = 5;
  bounds.pathsPerEnd = 3;
  bounds.communicators = 2;
  NcclLog log(bounds);
  NcclLogStream stream(log);
  for (int device = 0; device < 6; ++device) {
    stream.feed(info(0, "Channel 00/0 : 0[0] -> 1[0] [send] via NET/IB/" + std::to_string(device)));
  }
  for (int rank = 0; rank < 40; ++rank) {
    stream.feed(info(rank % 4, "Channel 00/0 : " + std::to_string(rank) + "[0] -> 50[0] [send] " +
                                   "via NET/IB/0"));
    stream.feed(info(rank, "Using network IB"));
  }
  stream.feed(std::string(100000, 'x') + "\n" + info(0, "Using network IB"));
  stream.end();
  EXPECT_THAT(log.processes(), SizeIs(5));
  EXPECT_LE(log.pairs().size(), 10U);
  EXPECT_GT(log.statistics().leftOut, 0U);
  EXPECT_EQ(log.statistics().longLines, 1U);
  EXPECT_TRUE(log.pairs().at(0).send.cut);
}

TEST(NcclLog, GarbageIsNoEvidence) {
  std::string garbage;
  for (int i = 0; i < 100000; ++i) garbage += static_cast<char>(i * 7919 >> 3);
  const auto log = logOf(garbage + "\n" + fixture("2.30.7-ib-shared") + garbage);
  EXPECT_THAT(log.pairs(), SizeIs(2));
  EXPECT_EQ(log.statistics().damaged, 0U);
}

TEST(NcclLog, AChannelOverANetThatNobodyUsesIsDamage) {
  const std::string foreign = info(0, "Channel 00/0 : 0[0] -> 1[0] [send] via NET/IhB/0");
  const auto own = logOf(info(0, "Using network IB") + foreign);
  EXPECT_EQ(own.statistics().damaged, 1U);
  EXPECT_THAT(own.pairs(), IsEmpty());
  EXPECT_EQ(logOf(info(1, "Using network IB") + foreign).statistics().damaged, 1U);
  EXPECT_EQ(logOf(foreign).statistics().damaged, 0U) << "nobody named one";
}

TEST(NcclLog, ReadsWhatRayRepeats) {
  const std::string repeated = " [repeated 3x across cluster]";
  const auto log =
      logOf(info(0, "Using network IB" + repeated + " (Ray deduplicates logs by default)") +
            info(0, "NCCL_NET_GDR_LEVEL set by environment to SYS\x1b[32m" + repeated + "\x1b[0m") +
            info(0, "Channel 00/0 : 0[0] -> 1[0] [send] via NET/IB/0/GDRDMA" + repeated));
  EXPECT_EQ(log.statistics().damaged, 0U) << log.statistics().firstDamaged;
  EXPECT_EQ(log.statistics().repeated, 3U);
  EXPECT_THAT(log.processes().at(0).networks, ElementsAre("IB"));
  EXPECT_EQ(log.processes().at(0).settings.at("NCCL_NET_GDR_LEVEL"), "SYS");
  EXPECT_THAT(log.pairs(), SizeIs(1));
}

TEST(NcclLog, CountsTheLinesOfOldVersions) {
  const auto log = logOf(info(0, "Ring 00 : 0 -> 1 [send] via NET/IB/0/GDRDMA") +
                         info(1, "Ring 00 : 0 -> 1 [receive] via NET/IB/0"));
  EXPECT_EQ(log.statistics().oldLines, 2U);
  EXPECT_EQ(log.statistics().damaged, 0U);
  EXPECT_THAT(log.pairs(), IsEmpty());
}

TEST(NcclLog, ReadsWindowsLineEnds) {
  const auto log =
      logOf("host-0:1:1 [0] NCCL INFO Channel 00/0 : 0[0] -> 1[0] [send] via NET/IB/0\r\n");
  EXPECT_THAT(log.pairs(), SizeIs(1));
}

}  // namespace
}  // namespace railhead::verify
