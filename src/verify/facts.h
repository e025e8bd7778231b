// From what was read to the facts of one direction. Pure functions: the caller has asked CUDA, read
// logs, dumps and counters, and checked the data; here each answer becomes a piece of evidence and
// the few words that the rules look at (src/verify/verdict.h).
#pragma once

#include "src/verify/nccl_log.h"
#include "src/verify/topology_dump.h"
#include "src/verify/traffic.h"
#include "src/verify/verdict.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace railhead::verify {

// What the CUDA driver says of a rank's GPU. Absent: it was not asked, or does not know.
struct GpuAttributes {
  std::optional<bool> gpuDirectRdma;  // CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_SUPPORTED
  std::optional<bool> dmaBuf;         // CU_DEVICE_ATTRIBUTE_DMA_BUF_SUPPORTED
  std::optional<bool> integrated;     // CU_DEVICE_ATTRIBUTE_INTEGRATED
};

// Our own write into device memory, checked by a kernel there.
struct ProbeResult {
  bool passed = false;
  std::string detail;  // what failed, or how it was registered: "dma-buf"
};

// What is known of one end of a direction beside NCCL's lines.
struct EndInput {
  std::string name;  // "rank 0 (spark-a)"
  int rank = 0;
  bool hostBuffers = false;  // the host backend: no GPU takes part
  bool softwareNic = false;  // soft-RoCE reaches no device memory
  std::optional<GpuAttributes> gpu;
  std::optional<bool> peermem;  // the module is loaded
  std::optional<ProbeResult> probe;
  const TopologyDump* dump = nullptr;  // of its node; outlives the call
  std::string dumpFile;
  std::optional<MovedBytes>
      moved;  // in this direction: sent at the sender, received at the receiver
  std::uint64_t retransmits = 0;
};

// What NCCL's profiler plugin recorded at the sender.
struct ProfilerRecord {
  std::string collective;        // "AllReduce RING/SIMPLE"
  std::uint64_t proxyBytes = 0;  // that its proxy gave to the network
};

struct DirectionInput {
  EndInput sender, receiver;
  std::optional<ProfilerRecord> profiler;
  std::uint64_t bytes = 0;  // payload that had to move while the counters ran; 0: unknown
  Data data = Data::kUnchecked;
  std::uint64_t bytesChecked = 0;
  std::vector<std::string> railsAvailable;  // at the sender; empty: as the log says
  std::optional<BitRate> rate;
  std::optional<bench::Ceiling> ceiling;
};

// Which way the ends say that the bytes go.
struct LineFacts {
  Way send = Way::kUntold;
  Way receive = Way::kUntold;
  Way both = Way::kUntold;
  std::string partialReason;
  std::vector<std::string> rails, railsAvailable;  // RDMA devices by name, of the sender
  std::vector<Evidence> evidence;
  std::vector<std::string> causes;  // settings that forbid GDR
};

// From NCCL's log. `pair` is one of log.pairs() with to >= 0, `communicator` the one it belongs to.
LineFacts linesOf(const NcclLog& log, const LoggedPair& pair,
                  const LoggedCommunicator& communicator);
// From a backend that knows what it opened: RDMA devices, or sockets when there are none.
LineFacts linesOfBackend(const std::string& backend, const std::vector<std::string>& rdmaDevices);

DirectionFacts directionFacts(const LineFacts& lines, const DirectionInput& input);

// What a line that tells of `way` speaks for.
Supports supportOf(Way way);

// Of one end, for `bytes` of payload: the share that must show is 95 %.
Counted countedOf(const MovedBytes& moved, std::uint64_t bytes);

}  // namespace railhead::verify
