// One thing that was read about a data path, and what it speaks for. A verdict lists every piece it
// rests on, those that decide nothing as well.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace railhead::verify {

// Where a piece of evidence comes from.
enum class EvidenceSource {
  kCudaAttribute,   // what the CUDA driver says of the GPU
  kPeermem,         // the nvidia_peermem module
  kDmaBuf,          // dma-buf export of the GPU
  kChannelLines,    // NCCL's channel lines, or the host backend's own account
  kRingSummary,     // "Connected all rings ... GDR"
  kNetwork,         // "Using network"
  kNicClaim,        // "GPU Direct RDMA enabled for HCA": decides nothing
  kGpuClaim,        // the same "for GPU": unreliable, decides nothing
  kTopologyDump,    // NCCL_TOPO_DUMP_FILE
  kProfiler,        // NCCL's profiler plugin
  kRdmaCounters,    // bytes by RDMA
  kSocketCounters,  // bytes by TCP
  kWireCounters,    // bytes on the cable
  kRetransmits,     // packets sent again, congestion notifications
  kDeviceProbe,     // our own write into device memory
  kDataCheck,       // every byte compared at its destination
  kRate,            // a measured bandwidth
};

// What a piece speaks for.
enum class Supports {
  kNothing,
  kGdrPossible,
  kGdrImpossible,
  kGdr,
  kHostStaged,
  kSockets,
  kRdma,
  kLocal,  // the bytes stayed on the node
  kRightBytes,
  kWrongBytes,
};

struct Evidence {
  EvidenceSource source = EvidenceSource::kChannelLines;
  std::string what;   // "channels rank 0 -> rank 1, sending end"
  std::string where;  // file, attribute or counter it was read from
  Supports supports = Supports::kNothing;
  std::string value;  // "IB/0, IB/1 without GDRDMA"
};

// Stable lower-case words for JSON: "channel-lines", "host-staged".
std::string_view sourceName(EvidenceSource source);
std::string_view supportsName(Supports supports);

}  // namespace railhead::verify
