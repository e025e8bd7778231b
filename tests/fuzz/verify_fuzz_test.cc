// Throws mutated input at the parsers of what NCCL writes.
#include "src/verify/nccl_log.h"
#include "src/verify/topology_dump.h"
#include "tests/fuzz/mutate.h"

#include <fstream>
#include <sstream>
#include <string>

#include <gtest/gtest.h>

namespace railhead::verify {
namespace {

using testing_support::fuzz;

std::string fixture(const std::string& name) {
  std::ifstream in("tests/fixtures/nccl/" + name + ".log");
  std::ostringstream text;
  text << in.rdbuf();
  EXPECT_FALSE(text.str().empty()) << name;
  return text.str();
}

// A mutation may lose evidence or spoil a number. It never makes a log say GDR that has none.
TEST(VerifyFuzz, NcclLogNeverGainsGdr) {
  const auto spark = fixture("2.28.9-spark-ibext");
  fuzz(
      {spark, fixture("2.27.7-spark-ib"), fixture("2.23.4-sockets")},
      [](const std::string& text) {
        NcclLog log;
        NcclLogStream stream(log);
        stream.feed(text);
        stream.end();
        for (const auto& pair : log.pairs()) {
          EXPECT_LE(pair.send.paths.size(), log.bounds().pathsPerEnd);
          for (const auto* end : {&pair.send, &pair.receive}) {
            for (const auto& path : end->paths) EXPECT_FALSE(path.gdr) << text;
          }
        }
      },
      1500);
}

TEST(VerifyFuzz, NcclLogInSmallBounds) {
  LogBounds bounds;
  bounds.line = 200;
  bounds.pairs = 3;
  bounds.processes = 2;
  bounds.communicators = 2;
  bounds.pathsPerEnd = 2;
  fuzz(
      {fixture("2.18.1-ib"), fixture("2.20.5-merged"), fixture("2.30.7-ib-shared")},
      [&](const std::string& text) {
        NcclLog log(bounds);
        NcclLogStream stream(log);
        for (std::size_t at = 0; at < text.size(); at += 33) {
          stream.feed(std::string_view(text).substr(at, 33));
        }
        stream.end();
        EXPECT_LE(log.pairs().size(), 3U);
        EXPECT_LE(log.processes().size(), 2U);
        for (const auto& pair : log.pairs()) {
          EXPECT_LT(pair.communicator, log.communicators().size());
          for (const auto* end : {&pair.send, &pair.receive}) {
            for (const auto& path : end->paths) {
              if (end->process) static_cast<void>(log.devicesOf(*end->process, path));
            }
          }
        }
      },
      1500);
}

// Two processes that write into one file without regard for each other: whatever is read of either
// was written by it.
TEST(VerifyFuzz, InterleavedWritersInventNothing) {
  SplitMix random(99);
  for (int round = 0; round < 300; ++round) {
    std::string texts[2];
    for (int rank = 0; rank < 2; ++rank) {
      for (int channel = 0; channel < 8; ++channel) {
        texts[rank] += "h" + std::to_string(rank) + ":9:9 [0] NCCL INFO Channel 0" +
                       std::to_string(channel) + "/0 : " + std::to_string(rank) + "[0] -> " +
                       std::to_string(1 - rank) + "[0] [send] via NET/IB/5/GDRDMA\n";
      }
    }
    std::string mixed =
        "h0:9:9 [0] NCCL INFO Using network IB\nh1:9:9 [0] NCCL INFO Using network IB\n";
    std::size_t at[2] = {0, 0};
    while (at[0] < texts[0].size() || at[1] < texts[1].size()) {
      const std::size_t who = random.next() % 2;
      const std::size_t length = 1 + random.next() % 90;
      mixed += texts[who].substr(at[who], length);
      at[who] = std::min(at[who] + length, texts[who].size());
    }
    NcclLog log;
    NcclLogStream stream(log);
    stream.feed(mixed);
    stream.end();
    for (const auto& pair : log.pairs()) {
      for (const auto& path : pair.send.paths) {
        EXPECT_EQ(path.carrier, "IB");
        EXPECT_TRUE(path.gdr || log.statistics().damaged > 0) << mixed;
      }
    }
  }
}

TEST(VerifyFuzz, TopologyDump) {
  fuzz({R"(<system version="1"><cpu numaid="0"><pci busid="0000:01:00.0" link_speed="32.0 GT/s" )"
        R"(link_width="16"><gpu dev="0" sm="90" rank="0" gdr="1"/><nic><net name="mlx5_0" dev="0" )"
        R"(speed="400000" gdr="1"/></nic></pci></cpu></system>)"},
       [](const std::string& text) {
         const auto dump = parseTopologyDump(text, "topo.xml");
         if (!dump.has_value()) {
           EXPECT_LE(dump.error().message.size(), 4096U);
           return;
         }
         for (const auto& net : dump->nets) EXPECT_GE(net.megabits, 0);
       });
}

}  // namespace
}  // namespace railhead::verify
