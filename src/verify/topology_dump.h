// NCCL's own picture of a node (NCCL_TOPO_DUMP_FILE, XML): which GPUs and NICs it holds capable of
// GPUDirect RDMA. It tells what NCCL could do, not what it did. The XML library stays inside.
#pragma once

#include "src/base/pci_address.h"
#include "src/base/result.h"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::verify {

// The PCIe link of a device as NCCL took it: of slot and card the lower.
struct DumpedLink {
  int width = 0;             // lanes; 0: not told
  double gigatransfers = 0;  // per lane, GT/s; 0: not told
};

struct DumpedGpu {
  int device = -1;            // CUDA device number
  int rank = -1;              // -1: a GPU of the node without a rank
  int computeCapability = 0;  // 121 is 12.1
  std::optional<bool> gdr;
  std::optional<PciAddress> pci;
  DumpedLink link;
};

struct DumpedNet {
  int device = -1;   // N of NET/IB/N
  std::string name;  // "mlx5_0"; "mlx5_0+mlx5_1" when NCCL made one of two
  std::optional<bool> gdr;
  double megabits = 0;  // per second, as NCCL reckons with it
  std::optional<PciAddress> pci;
  DumpedLink link;
};

struct TopologyDump {
  std::vector<DumpedGpu> gpus;
  std::vector<DumpedNet> nets;
  bool cut = false;  // it ends early or goes beyond the bounds: what it lacks is unknown
};

inline constexpr std::size_t kMaxTopologyDump = 1 << 20;  // bytes
inline constexpr std::size_t kMaxDumpedDevices = 4096;    // GPUs and NICs

// kCorrupt when it is no such dump, kExhausted when it is longer than kMaxTopologyDump. `where`
// names it in the message.
Result<TopologyDump> parseTopologyDump(std::string_view xml, std::string_view where);

}  // namespace railhead::verify
