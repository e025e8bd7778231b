#include "src/verify/evidence.h"

namespace railhead::verify {

std::string_view sourceName(EvidenceSource source) {
  switch (source) {
    case EvidenceSource::kCudaAttribute:
      return "cuda-attribute";
    case EvidenceSource::kPeermem:
      return "peermem";
    case EvidenceSource::kDmaBuf:
      return "dma-buf";
    case EvidenceSource::kChannelLines:
      return "channel-lines";
    case EvidenceSource::kRingSummary:
      return "ring-summary";
    case EvidenceSource::kNetwork:
      return "network";
    case EvidenceSource::kNicClaim:
      return "nic-claim";
    case EvidenceSource::kGpuClaim:
      return "gpu-claim";
    case EvidenceSource::kTopologyDump:
      return "topology-dump";
    case EvidenceSource::kProfiler:
      return "profiler";
    case EvidenceSource::kRdmaCounters:
      return "rdma-counters";
    case EvidenceSource::kSocketCounters:
      return "socket-counters";
    case EvidenceSource::kWireCounters:
      return "wire-counters";
    case EvidenceSource::kRetransmits:
      return "retransmits";
    case EvidenceSource::kDeviceProbe:
      return "device-probe";
    case EvidenceSource::kDataCheck:
      return "data-check";
    case EvidenceSource::kRate:
      return "rate";
  }
  return "";
}

std::string_view supportsName(Supports supports) {
  switch (supports) {
    case Supports::kNothing:
      return "nothing";
    case Supports::kGdrPossible:
      return "gdr-possible";
    case Supports::kGdrImpossible:
      return "gdr-impossible";
    case Supports::kGdr:
      return "gdr";
    case Supports::kHostStaged:
      return "host-staged";
    case Supports::kSockets:
      return "sockets";
    case Supports::kRdma:
      return "rdma";
    case Supports::kLocal:
      return "local";
    case Supports::kRightBytes:
      return "right-bytes";
    case Supports::kWrongBytes:
      return "wrong-bytes";
  }
  return "";
}

}  // namespace railhead::verify
