#include "src/verify/facts.h"

#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::verify {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::Field;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::uint64_t kBytes = 1ULL << 30;

std::string fixture(const std::string& name) {
  std::ifstream in("tests/fixtures/nccl/" + name + ".log");
  std::ostringstream text;
  text << in.rdbuf();
  EXPECT_FALSE(text.str().empty()) << name;
  return text.str();
}

NcclLog logOf(const std::string& text) {
  NcclLog log;
  NcclLogStream stream(log);
  stream.feed(text);
  stream.end();
  return log;
}

LineFacts firstLines(const NcclLog& log) {
  const auto pair = log.pairs().at(0);
  return linesOf(log, pair, log.communicators().at(pair.communicator));
}

std::string info(int rank, const std::string& text) {
  return "host-" + std::to_string(rank) + ":" + std::to_string(100 + rank) + ":7 [0] NCCL INFO " +
         text + "\n";
}

// Both ends of one channel from rank 0 to rank 1.
std::string bothEnds(const std::string& way) {
  return info(0, "Channel 00/0 : 0[0] -> 1[0] [send] via NET/" + way) +
         info(1, "Channel 00/0 : 0[0] -> 1[0] [receive] via NET/" + way);
}

MovedBytes byRdma(std::uint64_t bytes) {
  MovedBytes moved;
  moved.rdma = bytes;
  moved.tcp = 4096;
  return moved;
}
MovedBytes byTcp(std::uint64_t bytes) {
  MovedBytes moved;
  moved.rdma = 0;
  moved.tcp = bytes;
  return moved;
}

DirectionInput input(const GpuAttributes& gpu, const MovedBytes& moved) {
  DirectionInput made;
  made.sender.name = "rank 0 (a)";
  made.sender.rank = 0;
  made.receiver.name = "rank 1 (b)";
  made.receiver.rank = 1;
  for (auto* end : {&made.sender, &made.receiver}) {
    end->gpu = gpu;
    end->moved = moved;
  }
  made.bytes = kBytes;
  made.data = Data::kRight;
  made.bytesChecked = kBytes;
  return made;
}

const GpuAttributes kCapable{true, true, false};
const GpuAttributes kGb10{false, false, true};

// What each log says, with everything else as it would be on such machines.
TEST(Facts, JudgeEveryVersionsLog) {
  struct Row {
    const char* log;
    GpuAttributes gpu;
    MovedBytes moved;
    Verdict verdict;
  };
  for (const Row& row : {
           Row{"2.18.1-ib", kCapable, byRdma(kBytes), Verdict::kGdr},
           Row{"2.19.4-ibext", kCapable, byRdma(kBytes), Verdict::kGdr},
           Row{"2.20.5-merged", kCapable, byRdma(kBytes), Verdict::kGdr},
           Row{"2.21.5-receive-only", kCapable, byRdma(kBytes), Verdict::kMixed},
           Row{"2.23.4-sockets", kGb10, byTcp(kBytes), Verdict::kSockets},
           Row{"2.24.3-ib-staged", kCapable, byRdma(kBytes), Verdict::kHostStagedMisconfigured},
           Row{"2.26.2-gh200-pci", kCapable, byRdma(kBytes), Verdict::kGdr},
           Row{"2.27.7-spark-ib", kGb10, byRdma(kBytes), Verdict::kHostStagedHardware},
           Row{"2.28.9-spark-ibext", kGb10, byRdma(kBytes), Verdict::kHostStagedHardware},
           Row{"2.29.7-spark-one-twin", kGb10, byRdma(kBytes), Verdict::kHostStagedHardware},
           Row{"2.30.7-ib-shared", kCapable, byRdma(kBytes), Verdict::kGdr},
       }) {
    const auto log = logOf(fixture(row.log));
    for (const auto& pair : log.pairs()) {
      const auto lines = linesOf(log, pair, log.communicators().at(pair.communicator));
      const auto judged = judge(directionFacts(lines, input(row.gpu, row.moved)));
      EXPECT_EQ(verdictName(judged.verdict), verdictName(row.verdict))
          << row.log << ": " << judged.rule << " " << judged.reason;
    }
  }
}

TEST(Facts, ATornOffFlagMayBelongToAnyLineWithoutOne) {
  const std::string torn = "(worker pid=1) /GDRDMA\n";
  EXPECT_EQ(firstLines(logOf(bothEnds("IB/0"))).both, Way::kHost);
  const auto staged = firstLines(logOf(bothEnds("IB/0") + torn));
  EXPECT_EQ(staged.both, Way::kPartial);
  EXPECT_THAT(staged.partialReason, HasSubstr("torn-off /GDRDMA"));
  EXPECT_EQ(firstLines(logOf(bothEnds("AWS Libfabric/0") + torn)).both, Way::kPartial);
  EXPECT_EQ(firstLines(logOf(bothEnds("IB/0/GDRDMA") + torn)).both, Way::kGdr);
  EXPECT_EQ(firstLines(logOf(bothEnds("Socket/0") + torn)).both, Way::kSockets);
}

TEST(Facts, ASettingThatKeptNobodyFromGdrIsNoCause) {
  const std::string level = info(0, "NCCL_NET_GDR_LEVEL set by environment to PIX");
  EXPECT_THAT(firstLines(logOf(level + bothEnds("IB/0"))).causes, ElementsAre(HasSubstr("PIX")));
  EXPECT_THAT(firstLines(logOf(level + bothEnds("IB/0/GDRDMA"))).causes, IsEmpty());
}

TEST(Facts, SaysThatRayLeftLinesOut) {
  const std::string send = "Channel 00/0 : 0[0] -> 1[0] [send] via NET/IB/0/GDRDMA";
  EXPECT_EQ(firstLines(logOf(info(0, send))).partialReason, "the receiving end says nothing");
  const auto lines = firstLines(logOf(info(0, send + " [repeated 14x across cluster]")));
  EXPECT_EQ(lines.both, Way::kPartial);
  EXPECT_THAT(lines.partialReason, HasSubstr("RAY_DEDUP_LOGS=0"));
}

TEST(Facts, ASparkThatClaimsDmaBufIsHostStagedByItsHardware) {
  const auto log = logOf(fixture("2.28.9-spark-ibext"));
  const auto judged = judge(directionFacts(firstLines(log), input(kGb10, byRdma(kBytes))));
  EXPECT_EQ(judged.verdict, Verdict::kHostStagedHardware);
  EXPECT_THAT(judged.evidence,
              Contains(testing::AllOf(Field(&Evidence::source, EvidenceSource::kNicClaim),
                                      Field(&Evidence::supports, Supports::kNothing),
                                      Field(&Evidence::value, HasSubstr("(DMABUF) enabled")))));
  EXPECT_THAT(judged.evidence,
              Contains(testing::AllOf(Field(&Evidence::source, EvidenceSource::kCudaAttribute),
                                      Field(&Evidence::supports, Supports::kGdrImpossible))));
  EXPECT_THAT(judged.findings, IsEmpty());
}

TEST(Facts, NamesTheSettingThatForbidsGdr) {
  const auto log = logOf(fixture("2.24.3-ib-staged"));
  const auto judged = judge(directionFacts(firstLines(log), input(kCapable, byRdma(kBytes))));
  EXPECT_THAT(judged.remedies, Contains(HasSubstr("NCCL_NET_GDR_LEVEL=LOC")));
  // Without such a setting: what the NIC lacks.
  auto told = input({true, false, false}, byRdma(kBytes));
  told.sender.peermem = false;
  const auto plain = logOf(fixture("2.27.7-spark-ib"));
  EXPECT_THAT(judge(directionFacts(firstLines(plain), told)).remedies,
              Contains(HasSubstr("nvidia_peermem")));
}

TEST(Facts, OneRailOnlyByLogOrByCounters) {
  const auto log = logOf(fixture("2.29.7-spark-one-twin"));
  auto told = input(kGb10, byRdma(kBytes));
  told.railsAvailable = {"rocep1s0f0", "roceP2p1s0f0"};
  EXPECT_THAT(directionFacts(firstLines(log), told).railsUsed, ElementsAre("rocep1s0f0"));
  // The log names both, the bytes took one.
  const auto both = logOf(fixture("2.28.9-spark-ibext"));
  EXPECT_THAT(directionFacts(firstLines(both), told).railsUsed,
              ElementsAre("rocep1s0f0", "roceP2p1s0f0"));
  told.sender.moved->rails = {{"rocep1s0f0", kBytes}, {"roceP2p1s0f0", kBytes / 1000}};
  const auto facts = directionFacts(firstLines(both), told);
  EXPECT_THAT(facts.railsUsed, ElementsAre("rocep1s0f0"));
  EXPECT_THAT(judge(facts).findings, Contains(Field(&Finding::text, HasSubstr("one rail only"))));
}

TEST(Facts, IncompleteLinesAreNoWay) {
  const auto text = fixture("2.28.9-spark-ibext");
  // Rank 1 wrote nothing.
  const auto half = logOf(text.substr(0, text.find("spark-b:")));
  auto lines = firstLines(half);
  EXPECT_EQ(lines.both, Way::kPartial);
  EXPECT_THAT(lines.partialReason, HasSubstr("receiving end says nothing"));
  // The file ends in the middle of rank 1's channels.
  const auto cut = logOf(text.substr(0, text.find("Channel 02/0 : 0[0] -> 1[0] [receive]") + 50));
  lines = firstLines(cut);
  EXPECT_EQ(lines.both, Way::kPartial);
  EXPECT_THAT(lines.partialReason, HasSubstr("different channels"));
  EXPECT_EQ(judge(directionFacts(lines, input(kGb10, byRdma(kBytes)))).verdict, Verdict::kUnproven);
}

TEST(Facts, SourcesThatDisagreeAreAConflict) {
  const auto log = logOf(fixture("2.27.7-spark-ib"));
  TopologyDump dump;
  dump.gpus.push_back({0, 0, 121, true, {}, {}});
  auto told = input(kGb10, byRdma(kBytes));
  told.sender.dump = &dump;
  told.sender.dumpFile = "topo.xml";
  EXPECT_EQ(directionFacts(firstLines(log), told).capability, Capability::kConflict);
  told.sender.dump = nullptr;
  told.sender.probe = ProbeResult{true, "dma-buf"};
  EXPECT_EQ(directionFacts(firstLines(log), told).capability, Capability::kConflict);
  // A probe that fails proves nothing about the hardware.
  told.sender.probe = ProbeResult{false, "no RDMA device"};
  EXPECT_EQ(directionFacts(firstLines(log), told).capability, Capability::kNo);
  told.sender.gpu.reset();
  EXPECT_EQ(directionFacts(firstLines(log), told).capability, Capability::kUnknown);
  told.sender.gpu = kCapable;
  EXPECT_EQ(directionFacts(firstLines(log), told).capability, Capability::kOneEnd);
}

TEST(Facts, OnlyTheEndThatIsStagedIsAskedForMore) {
  LineFacts lines;
  lines.send = Way::kHost;
  lines.receive = Way::kGdr;
  lines.both = Way::kMixed;
  auto told = input(kCapable, byRdma(kBytes));
  told.sender.gpu = kGb10;
  EXPECT_EQ(directionFacts(lines, told).capability, Capability::kNo);
  told.receiver.gpu.reset();
  EXPECT_EQ(directionFacts(lines, told).capability, Capability::kNo);
}

TEST(Facts, TheHostBackendIsLimitedByHavingNoGpu) {
  const auto lines = linesOfBackend("gloo over ibverbs", {"rxe0", "rxe1"});
  auto told = input({}, byRdma(kBytes));
  told.sender.gpu.reset();
  told.receiver.gpu.reset();
  told.sender.hostBuffers = told.receiver.hostBuffers = true;
  auto judged = judge(directionFacts(lines, told));
  EXPECT_EQ(judged.verdict, Verdict::kHostStagedHardware);
  // RDMA taken away: the same backend over TCP.
  told.sender.moved = told.receiver.moved = byTcp(kBytes);
  judged = judge(directionFacts(linesOfBackend("gloo over tcp", {}), told));
  EXPECT_EQ(judged.verdict, Verdict::kSockets);
  // It says RDMA and the counters say TCP.
  EXPECT_EQ(judge(directionFacts(lines, told)).verdict, Verdict::kUnproven);
}

TEST(Facts, CountsAgainstWhatHadToMove) {
  EXPECT_EQ(countedOf(byRdma(kBytes), kBytes), Counted::kRdma);
  EXPECT_EQ(countedOf(byRdma(kBytes * 96 / 100), kBytes), Counted::kRdma);
  EXPECT_EQ(countedOf(byTcp(kBytes), kBytes), Counted::kTcp);
  EXPECT_EQ(countedOf(byRdma(kBytes / 2), kBytes), Counted::kNeither);
  MovedBytes split;
  split.rdma = kBytes / 2;
  split.tcp = kBytes / 2;
  EXPECT_EQ(countedOf(split, kBytes), Counted::kBoth);
  // Another job's RDMA does not make sockets of it, nor the reverse.
  MovedBytes busy;
  busy.rdma = kBytes * 3;
  busy.tcp = kBytes;
  EXPECT_EQ(countedOf(busy, kBytes), Counted::kRdma);
  EXPECT_EQ(countedOf({}, kBytes), Counted::kUnread);
  EXPECT_EQ(countedOf(byRdma(kBytes), 0), Counted::kUnread);
}

TEST(Facts, SeesBytesThatNeverReachedTheCable) {
  auto told = input(kGb10, byRdma(kBytes));
  told.sender.moved->wire = 5000;
  const auto log = logOf(fixture("2.28.9-spark-ibext"));
  EXPECT_TRUE(directionFacts(firstLines(log), told).insideNic);
  told.sender.moved->wire = kBytes;
  EXPECT_FALSE(directionFacts(firstLines(log), told).insideNic);
}

}  // namespace
}  // namespace railhead::verify
