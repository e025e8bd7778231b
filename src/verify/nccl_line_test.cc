#include "src/verify/nccl_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::verify {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

std::vector<LogMessage> messagesOf(std::string_view line, bool terminated = true) {
  std::vector<LogMessage> all;
  forEachMessage(line, terminated, [&](const LogMessage& each) { all.push_back(each); });
  return all;
}

struct Parsed {
  ChannelForm form = ChannelForm::kNone;
  ChannelLine line;
};
Parsed channelOf(std::string_view text) {
  LogMessage message;
  message.text = text;
  Parsed parsed;
  parsed.form = parseChannel(message, parsed.line);
  return parsed;
}

TEST(NcclLine, ReadsTheOriginBehindEveryPrefix) {
  for (const std::string before :
       {"", "[1,0]<stdout>:", "[pod/trainer-0/main] ", "[rank0]:", "0: ", "[2026-01-07 10:11:12] ",
        "(RayWorkerWrapper pid=2981, ip=10.0.0.2) ", "2026-01-07T10:11:12.123456789Z stdout F "}) {
    const std::string line = before + "spark-a.lab:12:345 [3] NCCL INFO Using network IB";
    const auto messages = messagesOf(line);
    ASSERT_THAT(messages, SizeIs(1)) << line;
    EXPECT_EQ(messages[0].host, "spark-a.lab") << line;
    EXPECT_EQ(messages[0].pid, 12U);
    EXPECT_EQ(messages[0].tid, 345U);
    EXPECT_EQ(messages[0].text, "Using network IB");
    EXPECT_TRUE(messages[0].whole);
  }
}

TEST(NcclLine, KnowsWarningsVersionsAndLinesWithoutOrigin) {
  const auto warning = messagesOf("h:1:2 [0] transport/net_ib.cc:12 NCCL WARN it broke");
  ASSERT_THAT(warning, SizeIs(1));
  EXPECT_EQ(warning[0].level, LogLevel::kWarn);
  EXPECT_EQ(warning[0].host, "h");
  EXPECT_EQ(warning[0].text, "it broke");
  const auto version = messagesOf("NCCL version 2.18.1+cuda12.1");
  ASSERT_THAT(version, SizeIs(1));
  EXPECT_EQ(version[0].level, LogLevel::kVersion);
  EXPECT_EQ(version[0].text, "NCCL version 2.18.1+cuda12.1");
  const auto both = messagesOf("h:1:2 [0] NCCL INFO NCCL version 2.28.9+cuda13.0");
  ASSERT_THAT(both, SizeIs(1));
  EXPECT_EQ(both[0].level, LogLevel::kInfo);
  const auto anonymous = messagesOf(":22901:22901 [0] NCCL INFO x");
  EXPECT_EQ(anonymous.at(0).pid, 22901U);
  EXPECT_EQ(messagesOf("[0] NCCL INFO x").at(0).host, "");
  EXPECT_THAT(messagesOf("epoch 3 loss 2.1 NCCL_DEBUG=INFO"), IsEmpty());
}

TEST(NcclLine, AMessageThatAnotherCutsOffIsNotWhole) {
  const auto messages =
      messagesOf("a:1:1 [0] NCCL INFO Channel 00/0 : 0[0] -> b:2:2 [0] NCCL INFO Using network IB");
  ASSERT_THAT(messages, SizeIs(2));
  EXPECT_FALSE(messages[0].whole);
  EXPECT_TRUE(messages[1].whole);
  EXPECT_EQ(messages[1].pid, 2U);
  EXPECT_FALSE(messagesOf("a:1:1 [0] NCCL INFO Using network I", false).at(0).whole);
}

TEST(NcclLine, PaddingBeforeAnOriginIsTheEndOfALine) {
  const std::string first = "a:1:1 [0] NCCL INFO Channel 00/0 : 0[0] -> 1[0] [send] via NET/IB/0";
  const std::string second = "b:2:2 [0] NCCL INFO Using network IB";
  // The messages are views of these.
  const std::string paddedLine = first + "         " + second;
  const std::string rayLine = first + "         (W pid=2, ip=10.0.0.2) " + second;
  const auto padded = messagesOf(paddedLine);
  ASSERT_THAT(padded, SizeIs(2));
  EXPECT_TRUE(padded[0].whole);
  EXPECT_TRUE(padded[0].text.ends_with("via NET/IB/0"));
  EXPECT_EQ(padded[1].host, "b");
  EXPECT_EQ(padded[1].text, "Using network IB");
  const auto ray = messagesOf(rayLine);
  ASSERT_THAT(ray, SizeIs(2));
  EXPECT_TRUE(ray[0].whole);
  EXPECT_TRUE(ray[0].text.ends_with("via NET/IB/0"));
  // A space alone, a prefix of another program or a message without origin may cut a line off.
  for (const char* between : {" ", "   ", " (W pid=2) ", "        0: ", "/GDR      | "}) {
    const std::string line = first + between + second;
    EXPECT_FALSE(messagesOf(line).at(0).whole) << between;
  }
  EXPECT_FALSE(messagesOf(first + "         [0] NCCL INFO x").at(0).whole);
  EXPECT_FALSE(messagesOf(first + "         NCCL version 2.28.9").at(0).whole);
}

TEST(NcclLine, StripsWhatTerminalsAdd) {
  std::string line = "\x1b[1;32mh:1:2 [0] NCCL INFO\x1b[0m Using network IB\x1b[0m \r";
  stripDecoration(line);
  EXPECT_EQ(line, "h:1:2 [0] NCCL INFO Using network IB");
  std::string open = "x\x1b[";
  stripDecoration(open);
  EXPECT_EQ(open, "x");
}

TEST(NcclLine, StripsWhatRayAdds) {
  std::string line = "h:1:2 [0] NCCL INFO Using network IB [repeated 7x across cluster] (Ray says)";
  EXPECT_TRUE(stripRepeats(line));
  EXPECT_EQ(line, "h:1:2 [0] NCCL INFO Using network IB");
  for (std::string other : {"x [repeated x across cluster]", "x [repeated 7x", "x", ""}) {
    const std::string before = other;
    EXPECT_FALSE(stripRepeats(other)) << before;
    EXPECT_EQ(other, before);
  }
}

TEST(NcclLine, StripsCharacterSetsAndTabs) {
  std::string line = "\x1b(B\x1b[mh:1:2 [0] NCCL INFO Using network IB\x1b(B \t";
  stripDecoration(line);
  EXPECT_EQ(line, "h:1:2 [0] NCCL INFO Using network IB");
  line = " \t\r";
  stripDecoration(line);
  EXPECT_EQ(line, "");
}

TEST(NcclLine, ReadsNetChannels) {
  auto parsed = channelOf("Channel 07/0 : 12[3] -> 4[0] [send] via NET/IB/2(9)/GDRDMA(PCI)/Shared");
  ASSERT_EQ(parsed.form, ChannelForm::kWhole);
  EXPECT_EQ(parsed.line.channel, 7);
  EXPECT_EQ(parsed.line.from, 12);
  EXPECT_EQ(parsed.line.to, 4);
  EXPECT_EQ(parsed.line.side, Side::kSend);
  EXPECT_EQ(parsed.line.medium, Medium::kNet);
  EXPECT_EQ(parsed.line.carrier, "IB");
  EXPECT_EQ(parsed.line.device, 2);
  EXPECT_EQ(parsed.line.proxyRank, 9);
  EXPECT_TRUE(parsed.line.gdr);
  EXPECT_TRUE(parsed.line.gdrOverPci);
  EXPECT_TRUE(parsed.line.shared);
  parsed = channelOf("Channel 00/0 : 1[1901000] -> 0[5e000] [receive] via NET/Socket/0");
  ASSERT_EQ(parsed.form, ChannelForm::kWhole);
  EXPECT_EQ(parsed.line.side, Side::kReceive);
  EXPECT_EQ(parsed.line.carrier, "Socket");
  EXPECT_EQ(parsed.line.proxyRank, -1);
  EXPECT_FALSE(parsed.line.gdr);
  parsed = channelOf("Channel 00/1 : 1[0] -> 0[0] [receive] via NET/AWS Libfabric/3/GDRDMA");
  ASSERT_EQ(parsed.form, ChannelForm::kWhole);
  EXPECT_EQ(parsed.line.carrier, "AWS Libfabric");
  parsed = channelOf("CollNet 00/0 : 3 [send] via COLLNET/SHARP/1/GDRDMA");
  ASSERT_EQ(parsed.form, ChannelForm::kWhole);
  EXPECT_EQ(parsed.line.medium, Medium::kCollNet);
  EXPECT_EQ(parsed.line.to, -1);
  EXPECT_TRUE(parsed.line.gdr);
}

TEST(NcclLine, AReceiverWithGdrMaySayHowItFlushes) {
  const std::string begin = "Channel 00/0 : 0[0] -> 1[0] [receive] via NET/IB/0";
  for (const char* flags : {"/GDRDMA/flush=None", "/GDRDMA(PCI)/flush=Always",
                            "/GDRDMA/flush=None/Shared", "/GDRDMA/Shared/flush=None"}) {
    const auto parsed = channelOf(begin + flags);
    EXPECT_EQ(parsed.form, ChannelForm::kWhole) << flags;
    EXPECT_TRUE(parsed.line.gdr) << flags;
  }
  for (const char* flags :
       {"/flush=None", "/GDRDMA/flush=", "/GDRDMA/flush", "/GDRDMA/flush=None/flush=None"}) {
    EXPECT_EQ(channelOf(begin + flags).form, ChannelForm::kDamaged) << flags;
  }
}

TEST(NcclLine, ReadsChannelsOfRccl) {
  const std::string begin = "Channel 00/0 : 0[0] -> 1[1]";
  for (const char* way : {" [send] via NET/Socket/0", " [send] via NET/IB/0/GDRDMA", " via P2P/IPC",
                          " via SHM/direct/direct"}) {
    const std::string line = begin + way + " comm 0x20c3a0 nRanks 02";
    const auto parsed = channelOf(line);
    EXPECT_EQ(parsed.form, ChannelForm::kWhole) << way;
    EXPECT_FALSE(parsed.line.carrier.ends_with("02")) << way;
    for (const char* torn : {" comm 0x20c3a0", " comm 0x20c3a0 nRanks ", " comm 0xhost nRanks 02",
                             " comm 0x20c3a0 nRanks 02 more"}) {
      EXPECT_EQ(channelOf(begin + way + torn).form, ChannelForm::kDamaged) << way << torn;
    }
  }
}

TEST(NcclLine, KnowsTheVerbsTransports) {
  for (const char* name : {"IB", "IBext", "IBext_v8", "NCCL RDMA Plugin v10"}) {
    EXPECT_TRUE(isVerbs(name)) << name;
  }
  for (const char* name : {"Socket", "AWS Libfabric", "gIB", "IBhost", ""}) {
    EXPECT_FALSE(isVerbs(name)) << name;
  }
}

TEST(NcclLine, ReadsChannelsWithinANode) {
  for (const char* way : {"P2P/direct pointer", "P2P/direct pointer/read", "P2P/IPC/CE",
                          "P2P/CUMEM/read", "P2P/MNNVL", "P2P/indirect/2[a000]/read"}) {
    const auto parsed = channelOf(std::string("Channel 00/0 : 0[0] -> 1[1] via ") + way);
    EXPECT_EQ(parsed.form, ChannelForm::kWhole) << way;
    EXPECT_EQ(parsed.line.medium, Medium::kP2p) << way;
  }
  for (const char* way : {"SHM/direct/direct", "SHM/CE/direct", "SHM/direct"}) {
    const auto parsed = channelOf(std::string("Channel 00 : 0[0] -> 1[1] via ") + way);
    EXPECT_EQ(parsed.form, ChannelForm::kWhole) << way;
    EXPECT_EQ(parsed.line.medium, Medium::kShm) << way;
  }
}

TEST(NcclLine, WhatIsTornCutOrNewIsDamaged) {
  for (const char* text :
       {"Channel 00/0 : 0[0] -> 1[0] [send] via NET/IB/0/GDRDMAspark-b",
        "Channel 00/0 : 0[0] -> 1[0] [send] via NET/IB/0/NewFlag",
        "Channel 00/0 : 0[0] -> 1[0] [send] via NET/IB/", "Channel 00/0 : 0[0] -> 1[0] [send] via",
        "Channel 00/0 : 0[0] -", "Channel 00/0 : 0[0] -> 1[0] via NET/IB/0",
        "Channel 00/0 : 0[0] -> 1[0] [send] via P2P/IPC",
        "Channel 00/0 : 0[0] -> 1[0] via P2P/IPChost", "Channel 00/0 : 0[0] -> 1[0] via WARP/0",
        "Channel 00/0 : 99999999[0] -> 1[0] [send] via NET/IB/0",
        "CollNet 00/0 : 3 [send] via COLLNET/SHARP"}) {
    EXPECT_EQ(channelOf(text).form, ChannelForm::kDamaged) << text;
  }
  EXPECT_EQ(channelOf("Channel 00/04 :    0   1   2").form, ChannelForm::kNone);
  EXPECT_EQ(channelOf("Using network IB").form, ChannelForm::kNone);
  EXPECT_EQ(channelOf("Ring 00 : 0 -> 1 [send] via NET/IB/0/GDRDMA").form, ChannelForm::kOld);
  EXPECT_EQ(channelOf("Ring 00 : 0[3] -> 1[4] via P2P/IPC").form, ChannelForm::kOld);
  EXPECT_EQ(channelOf("Ring 00 :    0   1   2").form, ChannelForm::kNone);
  LogMessage cut;
  cut.text = "Channel 00/0 : 0[0] -> 1[0] [send] via NET/IB/0";
  cut.whole = false;  // "/GDRDMA" may be missing
  ChannelLine line;
  EXPECT_EQ(parseChannel(cut, line), ChannelForm::kDamaged);
}

TEST(NcclLine, ReadsWhoIsWhichRank) {
  const auto old =
      parseInit("comm 0x55d0 rank 1 nranks 2 cudaDev 0 busId 1b000 commId 0x9a - Init COMPLETE");
  ASSERT_TRUE(old.has_value());
  EXPECT_EQ(old->rank, 1);
  EXPECT_EQ(old->rankCount, 2);
  EXPECT_EQ(old->commId, 0x9aU);
  EXPECT_TRUE(old->complete);
  const auto split = parseInit(
      "[Rank 3] ncclCommSplit comm 0x7f rank 3 nranks 8 cudaDev 3 nvmlDev 3 busId 5e000 parent "
      "0x6f "
      "childCount 2 color 7 key 3- Init START");
  ASSERT_TRUE(split.has_value());
  EXPECT_FALSE(split->commId.has_value());
  EXPECT_EQ(split->parent, 0x6fU);
  EXPECT_EQ(split->splitCount, 2);
  EXPECT_EQ(split->color, 7);
  EXPECT_FALSE(split->complete);
  EXPECT_FALSE(parseInit("comm 0x55 rank 2 nranks 2 commId 0x1 - Init START").has_value());
  EXPECT_FALSE(parseInit("Init START").has_value());
}

TEST(NcclLine, NamesTheDevicesBehindNumbers) {
  auto devices = parseNetDevices(
      "NET/IB : Using [0]mlx5_0:1/RoCE [1]mlx5_3:1/IB [2]mlx5_4:1:0:1/RoCE [RO]; OOB "
      "eth0:1.2.3.4<0>");
  ASSERT_THAT(devices, SizeIs(3));
  EXPECT_EQ(devices[1].index, 1);
  EXPECT_THAT(devices[1].names, ElementsAre("mlx5_3"));
  EXPECT_THAT(devices[2].names, ElementsAre("mlx5_4"));
  devices = parseNetDevices(
      "NET/IB : Using [0]={[0] mlx5_0:1/RoCE, [1] mlx5_1:1/RoCE} [2]mlx5_2:1/RoCE ; OOB e:1<0>");
  ASSERT_THAT(devices, SizeIs(2));
  EXPECT_THAT(devices[0].names, ElementsAre("mlx5_0", "mlx5_1"));
  EXPECT_EQ(devices[1].index, 1);
  devices = parseNetDevices("NET/IB : Using [0]mlx5_0:1/IB/SHARP [1]mlx5_3:1/RoCE/SHARP [RO]; OOB");
  ASSERT_THAT(devices, SizeIs(2));
  EXPECT_THAT(devices[0].names, ElementsAre("mlx5_0"));
  EXPECT_THAT(parseNetDevices("NET/IB : Using [0]mlx5_0:1/IB/SHA"), IsEmpty());
  // Cut at 1023 bytes: the last one may be called anything.
  EXPECT_THAT(parseNetDevices("NET/IB : Using [0]mlx5_0:1/RoCE [1]mlx5_1:1/Ro"), SizeIs(1));
  EXPECT_THAT(parseNetDevices("NET/IB : No device found."), IsEmpty());
  const auto made =
      parseVirtualDevice("NET/IB : Made virtual device [4] name=a+b speed=400000 ndevs=2");
  ASSERT_TRUE(made.has_value());
  EXPECT_EQ(made->index, 4);
  EXPECT_THAT(made->names, ElementsAre("a", "b"));
}

TEST(NcclLine, SetsClaimsApartFromPaths) {
  const auto core = parseGdrClaim("NET/IB : GPU Direct RDMA Enabled for HCA 0 'mlx5_0'");
  ASSERT_TRUE(core.has_value());
  EXPECT_FALSE(core->aboutGpu);
  EXPECT_TRUE(core->enabled);
  const auto plugin =
      parseGdrClaim("NET/IB : GPU Direct RDMA (DMABUF) enabled for HCA 1 'roceP2p1s0f1");
  ASSERT_TRUE(plugin.has_value());
  EXPECT_FALSE(plugin->aboutGpu);
  const auto gpu = parseGdrClaim("GPU Direct RDMA Disabled for GPU 0 / HCA 1 (distance 7 > 5)");
  ASSERT_TRUE(gpu.has_value());
  EXPECT_TRUE(gpu->aboutGpu);
  EXPECT_FALSE(gpu->enabled);
}

TEST(NcclLine, ReadsRingsTuningAndSettings) {
  EXPECT_FALSE(parseRings("Connected all rings")->gdr.has_value());
  EXPECT_EQ(parseRings("Connected all rings, use ring PXN 0 GDR 1")->gdr, true);
  EXPECT_FALSE(parseRings("Connected all rings, use ring PXN").has_value());
  auto tuning =
      parseTuning("AllReduce: 8388608 Bytes -> Algo RING proto LL128 channel{Lo..Hi}={0..3}");
  ASSERT_TRUE(tuning.has_value());
  EXPECT_EQ(tuning->function, "AllReduce");
  EXPECT_EQ(tuning->bytes, 8388608U);
  EXPECT_EQ(tuning->algorithm, "RING");
  EXPECT_EQ(tuning->protocol, "LL128");
  EXPECT_EQ(tuning->channels, 4);
  tuning = parseTuning("67108864 Bytes -> Algo 1 proto 2 time 3107.25");
  ASSERT_TRUE(tuning.has_value());
  EXPECT_EQ(tuning->function, "");
  EXPECT_EQ(tuning->algorithm, "RING");
  EXPECT_EQ(tuning->protocol, "SIMPLE");
  const auto setting = parseSetting("NCCL_IB_GID_INDEX set by environment to 3.");
  ASSERT_TRUE(setting.has_value());
  EXPECT_EQ(setting->name, "NCCL_IB_GID_INDEX");
  EXPECT_EQ(setting->value, "3");
}

}  // namespace
}  // namespace railhead::verify
