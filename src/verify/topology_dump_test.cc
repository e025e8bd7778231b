#include "src/verify/topology_dump.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::verify {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

// As NCCL 2.28 writes a Spark with one twin's function left out; the values are ours.
const std::string kSpark = R"(<system version="1">
  <cpu host_hash="0x1" numaid="-1" affinity="fffff" arch="arm64">
    <pci busid="000f:01:00.0" class="0x030000" link_speed="" link_width="">
      <gpu dev="0" sm="121" rank="0" gdr="0"/>
    </pci>
    <pci busid="0000:01:00.0" class="0x020000" link_speed="32.0 GT/s PCIe" link_width="4">
      <nic>
        <net name="rocep1s0f0" dev="0" latency="0" speed="200000" port="1" guid="0x1"
             maxconn="131072" gdr="1"/>
      </nic>
    </pci>
    <pci busid="0002:01:00.0" class="0x020000" link_speed="32.0 GT/s PCIe" link_width="4">
      <nic><net name="a+b" dev="2" speed="400000.0" port="1" guid="0x2" gdr="0"/></nic>
    </pci>
  </cpu>
</system>
)";

TEST(TopologyDump, ReadsWhatNcclHoldsCapable) {
  const auto dump = parseTopologyDump(kSpark, "topo.xml");
  ASSERT_TRUE(dump.has_value()) << dump.error().describe();
  EXPECT_FALSE(dump->cut);
  ASSERT_THAT(dump->gpus, SizeIs(1));
  EXPECT_EQ(dump->gpus[0].rank, 0);
  EXPECT_EQ(dump->gpus[0].computeCapability, 121);
  EXPECT_EQ(dump->gpus[0].gdr, false);
  EXPECT_EQ(dump->gpus[0].pci->toString(), "000f:01:00.0");
  EXPECT_EQ(dump->gpus[0].link.width, 0);
  ASSERT_THAT(dump->nets, SizeIs(2));
  EXPECT_EQ(dump->nets[0].name, "rocep1s0f0");
  EXPECT_EQ(dump->nets[0].gdr, true);
  EXPECT_EQ(dump->nets[0].megabits, 200000);
  EXPECT_EQ(dump->nets[0].pci->toString(), "0000:01:00.0");
  EXPECT_EQ(dump->nets[0].link.width, 4);
  EXPECT_EQ(dump->nets[0].link.gigatransfers, 32);
  EXPECT_EQ(dump->nets[1].name, "a+b");
  EXPECT_EQ(dump->nets[1].megabits, 400000);
}

TEST(TopologyDump, AttributesThatMakeNoSenseAreAbsent) {
  const auto dump = parseTopologyDump(
      R"(<system><gpu dev="x" rank="-7" gdr="2"/><net speed="nan" gdr="" dev="99999999999"/></system>)",
      "x");
  ASSERT_TRUE(dump.has_value());
  EXPECT_FALSE(dump->gpus.at(0).gdr.has_value());
  EXPECT_EQ(dump->gpus.at(0).rank, -1);
  EXPECT_FALSE(dump->gpus.at(0).pci.has_value());
  EXPECT_EQ(dump->nets.at(0).megabits, 0);
  EXPECT_EQ(dump->nets.at(0).device, -1);
}

TEST(TopologyDump, ABrokenEndTakesOneElementAlong) {
  const auto whole = parseTopologyDump(kSpark, "x").value();
  for (std::size_t length = kSpark.find("<cpu"); length + 2 < kSpark.size(); ++length) {
    const auto dump = parseTopologyDump(std::string_view(kSpark).substr(0, length), "x");
    if (!dump.has_value()) continue;
    EXPECT_TRUE(dump->cut);
    ASSERT_LE(dump->gpus.size(), whole.gpus.size());
    for (const auto& gpu : dump->gpus) EXPECT_EQ(gpu.gdr, false) << length;
    ASSERT_LE(dump->nets.size(), whole.nets.size());
    for (std::size_t i = 0; i < dump->nets.size(); ++i) {
      EXPECT_EQ(dump->nets[i].name, whole.nets[i].name) << length;
      EXPECT_EQ(dump->nets[i].gdr, whole.nets[i].gdr) << length;
      EXPECT_EQ(dump->nets[i].link.width, whole.nets[i].link.width) << length;
    }
  }
}

TEST(TopologyDump, RefusesOtherFilesAndTooMuch) {
  const auto other = parseTopologyDump("<html><body/></html>", "index.html");
  ASSERT_FALSE(other.has_value());
  EXPECT_EQ(other.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(other.error().describe(), HasSubstr("index.html"));
  EXPECT_FALSE(parseTopologyDump("", "x").has_value());
  const auto large = parseTopologyDump(std::string(kMaxTopologyDump + 1, ' '), "x");
  ASSERT_FALSE(large.has_value());
  EXPECT_EQ(large.error().code, ErrorCode::kExhausted);
  std::string deep = "<system>";
  for (int i = 0; i < 100000; ++i) deep += "<pci>";
  const auto cut = parseTopologyDump(deep, "x");
  ASSERT_TRUE(cut.has_value());
  EXPECT_TRUE(cut->cut);
  std::string many = "<system>";
  for (std::size_t i = 0; i <= kMaxDumpedDevices; ++i) many += "<gpu/>";
  const auto bounded = parseTopologyDump(many + "</system>", "x");
  ASSERT_TRUE(bounded.has_value());
  EXPECT_TRUE(bounded->cut);
  EXPECT_THAT(bounded->gpus, SizeIs(kMaxDumpedDevices));
}

}  // namespace
}  // namespace railhead::verify
