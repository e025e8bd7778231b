#include "src/verify/facts.h"

#include "src/base/text.h"

#include <algorithm>

namespace railhead::verify {
namespace {

// Of the bytes that had to move: what must show to say that they did, and what may show though
// they did not (headers, control, others).
constexpr double kCovered = 0.95;
constexpr double kNoise = 0.05;
// A rail that carried less than this share did not take part.
constexpr double kRailPart = 0.1;

bool coversShare(const std::optional<std::uint64_t>& counted, std::uint64_t bytes, double share) {
  return counted && static_cast<double>(*counted) >= share * static_cast<double>(bytes);
}

Counted together(Counted one, Counted other) {
  if (one == Counted::kUnread || other == Counted::kUnread) return Counted::kUnread;
  return one == other ? one : Counted::kNeither;
}

const char* yesNo(bool value) { return value ? "1" : "0"; }

// One end's GPU, with a vote of each source.
class EndCapability {
 public:
  EndCapability(const EndInput& end, std::vector<Evidence>& evidence)
      : end_(end), evidence_(evidence) {}

  Capability ask() {
    if (end_.hostBuffers) {
      note(EvidenceSource::kChannelLines, "buffers of " + end_.name, "backend", false,
           "host memory: no GPU takes part");
      return Capability::kNo;
    }
    if (end_.gpu) attributes(*end_.gpu);
    if (end_.dump != nullptr) dump(*end_.dump);
    if (end_.probe) {
      if (end_.probe->passed) yes_ = true;
      evidence_.push_back(
          {EvidenceSource::kDeviceProbe, "write into device memory of " + end_.name, "probe",
           end_.probe->passed ? Supports::kGdrPossible : Supports::kNothing, end_.probe->detail});
    }
    if (end_.peermem) {
      evidence_.push_back({EvidenceSource::kPeermem, "nvidia_peermem at " + end_.name,
                           "modules of the kernel", Supports::kNothing,
                           *end_.peermem ? "loaded" : "not loaded"});
    }
    // Soft-RoCE has no DMA of its own: what the GPU could do with another NIC does not matter.
    if (end_.softwareNic) {
      note(EvidenceSource::kDmaBuf, "RDMA device of " + end_.name, "sysfs", false,
           "software: it reaches no device memory");
      return Capability::kNo;
    }
    if (yes_ && no_) return Capability::kConflict;
    return yes_ ? Capability::kYes : no_ ? Capability::kNo : Capability::kUnknown;
  }

 private:
  void note(EvidenceSource source, std::string what, std::string where, bool possible,
            std::string value) {
    evidence_.push_back({source, std::move(what), std::move(where),
                         possible ? Supports::kGdrPossible : Supports::kGdrImpossible,
                         std::move(value)});
  }

  void attributes(const GpuAttributes& gpu) {
    // NCCL looks at the first one alone; dma-buf speaks where a driver does not know it.
    const bool possible = gpu.gpuDirectRdma.value_or(gpu.dmaBuf.value_or(false));
    if (gpu.gpuDirectRdma || possible) (possible ? yes_ : no_) = true;
    if (gpu.gpuDirectRdma) {
      note(EvidenceSource::kCudaAttribute, "GPU of " + end_.name,
           "CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_SUPPORTED", *gpu.gpuDirectRdma,
           yesNo(*gpu.gpuDirectRdma));
    }
    if (gpu.dmaBuf) {
      note(EvidenceSource::kDmaBuf, "GPU of " + end_.name, "CU_DEVICE_ATTRIBUTE_DMA_BUF_SUPPORTED",
           *gpu.dmaBuf, yesNo(*gpu.dmaBuf));
    }
    if (gpu.integrated) {
      evidence_.push_back({EvidenceSource::kCudaAttribute, "GPU of " + end_.name,
                           "CU_DEVICE_ATTRIBUTE_INTEGRATED", Supports::kNothing,
                           yesNo(*gpu.integrated)});
    }
  }

  void dump(const TopologyDump& dump) {
    auto gpu = std::find_if(dump.gpus.begin(), dump.gpus.end(),
                            [&](const auto& each) { return each.rank == end_.rank; });
    if (gpu == dump.gpus.end() && dump.gpus.size() == 1) gpu = dump.gpus.begin();
    if (gpu == dump.gpus.end() || !gpu->gdr) return;
    (*gpu->gdr ? yes_ : no_) = true;
    note(EvidenceSource::kTopologyDump, "GPU of " + end_.name, end_.dumpFile, *gpu->gdr,
         std::string("<gpu gdr=\"") + yesNo(*gpu->gdr) + "\">");
    for (const auto& net : dump.nets) {
      if (!net.gdr) continue;
      evidence_.push_back({EvidenceSource::kTopologyDump, "NIC " + net.name + " of " + end_.name,
                           end_.dumpFile, Supports::kNothing,
                           std::string("<net gdr=\"") + yesNo(*net.gdr) + "\">"});
    }
  }

  const EndInput& end_;
  std::vector<Evidence>& evidence_;
  bool yes_ = false;
  bool no_ = false;
};

Capability of(Capability sender, Capability receiver, const LineFacts& lines) {
  std::vector<Capability> ends;
  // Only ends that were not reached directly can be told to do better.
  const bool all = lines.both == Way::kGdr || lines.send == lines.receive;
  if (all || lines.send != Way::kGdr) ends.push_back(sender);
  if (all || lines.receive != Way::kGdr) ends.push_back(receiver);
  const auto any = [&](Capability value) {
    return std::find(ends.begin(), ends.end(), value) != ends.end();
  };
  if (any(Capability::kConflict)) return Capability::kConflict;
  if (any(Capability::kUnknown)) return Capability::kUnknown;
  if (any(Capability::kYes) && any(Capability::kNo)) return Capability::kOneEnd;
  return any(Capability::kYes) ? Capability::kYes : Capability::kNo;
}

void addCounters(const EndInput& end, const char* verb, std::vector<Evidence>& evidence) {
  if (!end.moved) return;
  const auto add = [&](EvidenceSource source, const std::optional<std::uint64_t>& bytes,
                       const std::string& of, Supports supports, const std::string& prefix) {
    if (!bytes) return;
    evidence.push_back({source, of + " " + verb + " by " + end.name, join(end.moved->sums, "; "),
                        *bytes > 0 ? supports : Supports::kNothing, prefix + formatBytes(*bytes)});
  };
  add(EvidenceSource::kRdmaCounters, end.moved->rdma, "RDMA bytes", Supports::kRdma, "at least ");
  add(EvidenceSource::kSocketCounters, end.moved->tcp, "TCP bytes", Supports::kSockets, "at most ");
  add(EvidenceSource::kWireCounters, end.moved->wire, "bytes on the cable", Supports::kNothing, "");
}

// What may keep GPU memory from being reached though it could be.
std::vector<std::string> causesOf(const LineFacts& lines, const DirectionInput& input) {
  std::vector<std::string> causes = lines.causes;
  for (const auto* end : {&input.sender, &input.receiver}) {
    const bool nicCannot =
        end->dump != nullptr && std::any_of(end->dump->nets.begin(), end->dump->nets.end(),
                                            [](const auto& net) { return net.gdr == false; });
    const bool noDmaBuf = end->gpu && end->gpu->dmaBuf == false;
    if (nicCannot || (end->peermem == false && noDmaBuf)) {
      causes.push_back(end->name +
                       ": the NIC cannot register GPU memory; load nvidia_peermem, or use a kernel "
                       "and driver with dma-buf");
    }
  }
  if (causes.empty()) {
    causes.emplace_back(
        "GPU and NIC may be farther apart than NCCL's default allows: try "
        "NCCL_NET_GDR_LEVEL=SYS and compare");
  }
  return causes;
}

std::vector<std::string> railsThatCarried(const MovedBytes& moved) {
  std::uint64_t sum = 0;
  for (const auto& [name, bytes] : moved.rails) sum += bytes;
  std::vector<std::string> rails;
  for (const auto& [name, bytes] : moved.rails) {
    if (sum > 0 && coversShare(bytes, sum, kRailPart)) rails.push_back(name);
  }
  return rails;
}

}  // namespace

Counted countedOf(const MovedBytes& moved, std::uint64_t bytes) {
  if (bytes == 0 || (!moved.rdma && !moved.tcp)) return Counted::kUnread;
  if (coversShare(moved.rdma, bytes, kCovered)) return Counted::kRdma;
  const bool someRdma = coversShare(moved.rdma, bytes, kNoise);
  if (!someRdma && coversShare(moved.tcp, bytes, kCovered)) return Counted::kTcp;
  const std::uint64_t sum = moved.rdma.value_or(0) + moved.tcp.value_or(0);
  if (someRdma && coversShare(sum, bytes, kCovered)) return Counted::kBoth;
  return Counted::kNeither;
}

LineFacts linesOfBackend(const std::string& backend, const std::vector<std::string>& rdmaDevices) {
  LineFacts lines;
  const Way way = rdmaDevices.empty() ? Way::kSockets : Way::kHost;
  lines.send = lines.receive = lines.both = way;
  lines.rails = rdmaDevices;
  lines.evidence.push_back({EvidenceSource::kChannelLines, "what the backend opened", backend,
                            supportOf(way),
                            rdmaDevices.empty() ? "TCP sockets" : join(rdmaDevices, ", ")});
  return lines;
}

DirectionFacts directionFacts(const LineFacts& lines, const DirectionInput& input) {
  DirectionFacts facts;
  facts.from = input.sender.rank;
  facts.to = input.receiver.rank;
  facts.fromName = input.sender.name;
  facts.toName = input.receiver.name;
  facts.way = lines.both;
  facts.partialReason = lines.partialReason;
  facts.evidence = lines.evidence;
  const Capability sender = EndCapability(input.sender, facts.evidence).ask();
  const Capability receiver = EndCapability(input.receiver, facts.evidence).ask();
  facts.capability = of(sender, receiver, lines);
  if (input.sender.moved && input.receiver.moved) {
    facts.counted = together(countedOf(*input.sender.moved, input.bytes),
                             countedOf(*input.receiver.moved, input.bytes));
  }
  addCounters(input.sender, "sent", facts.evidence);
  addCounters(input.receiver, "received", facts.evidence);
  if (input.profiler) {
    facts.evidence.push_back({EvidenceSource::kProfiler, input.profiler->collective,
                              "NCCL's profiler plugin", Supports::kNothing,
                              formatBytes(input.profiler->proxyBytes) + " by the proxy"});
  }
  facts.data = input.data;
  if (input.data != Data::kUnchecked) {
    const bool right = input.data == Data::kRight;
    facts.evidence.push_back({EvidenceSource::kDataCheck, "bytes at " + input.receiver.name,
                              "compared with the pattern",
                              right ? Supports::kRightBytes : Supports::kWrongBytes,
                              formatBytes(input.bytesChecked) + (right ? " right" : " compared")});
  }
  facts.causes = causesOf(lines, input);
  facts.railsUsed = lines.rails;
  if (input.sender.moved) {
    auto carried = railsThatCarried(*input.sender.moved);
    if (!carried.empty()) facts.railsUsed = std::move(carried);
    facts.insideNic = facts.counted == Counted::kRdma && input.sender.moved->wire &&
                      !coversShare(input.sender.moved->wire, input.bytes, kNoise);
  }
  facts.railsAvailable = input.railsAvailable.empty() ? lines.railsAvailable : input.railsAvailable;
  facts.rate = input.rate;
  facts.ceiling = input.ceiling;
  if (input.rate) {
    facts.evidence.push_back({EvidenceSource::kRate, "bandwidth", "measured", Supports::kNothing,
                              input.rate->toString()});
  }
  facts.retransmits = input.sender.retransmits + input.receiver.retransmits;
  if (facts.retransmits > 0) {
    facts.evidence.push_back({EvidenceSource::kRetransmits, "packets sent again", "RDMA counters",
                              Supports::kNothing, std::to_string(facts.retransmits)});
  }
  return facts;
}

}  // namespace railhead::verify
