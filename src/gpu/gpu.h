// The GPUs of this machine, as the driver's library (NVML) tells them. Value types, and the one
// object that owns the library; no NVML type leaves src/gpu. A fact that the driver does not know
// is absent, never a failure: GB10 (DGX Spark) answers "not supported" when asked for its memory,
// for it shares the host's.
#pragma once

#include "src/base/pci_address.h"
#include "src/base/result.h"
#include "src/os/filesystem.h"

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace railhead::gpu {

class Nvml;

struct ComputeCapability {
  int major = 0;
  int minor = 0;
  auto operator<=>(const ComputeCapability&) const = default;
};

// A slice of a GPU (Multi-Instance GPU) that is handed out like a GPU.
struct MigDevice {
  std::string uuid;                         // "MIG-..."
  std::optional<unsigned> gpuInstance;      // within its GPU
  std::optional<unsigned> computeInstance;  // within its GPU instance
  std::string profile;                      // "1g.10gb"; empty when the driver does not say
  std::optional<std::uint64_t> memoryBytes;
  unsigned multiprocessors = 0;  // from here on 0 when unknown
  unsigned gpuSlices = 0;
  unsigned computeSlices = 0;
  unsigned copyEngines = 0;
  unsigned decoders = 0;
  unsigned encoders = 0;
  unsigned jpegEngines = 0;
  unsigned ofaEngines = 0;
};

enum class NvLinkPeer { kGpu, kSwitch, kOther };

struct NvLink {
  unsigned link = 0;
  NvLinkPeer peer = NvLinkPeer::kOther;
  std::optional<PciAddress> remote;
};

// How far two GPUs are apart, nearest first (NVML's common ancestor).
enum class Distance { kSameBoard, kOneSwitch, kSwitches, kHostBridge, kNumaNode, kSystem };

struct GpuDistance {
  unsigned index = 0;  // of the other GPU
  Distance distance = Distance::kSystem;
};

struct EccCounts {  // since the driver loaded
  std::uint64_t corrected = 0;
  std::uint64_t uncorrected = 0;
};

struct PcieLink {
  std::optional<unsigned> generation, width;        // now; an idle GPU lowers its generation
  std::optional<unsigned> maxGeneration, maxWidth;  // what GPU and slot can do together
};

struct Gpu {
  std::string uuid;  // "GPU-..."
  std::string name;  // "NVIDIA H100 80GB HBM3"
  unsigned index = 0;
  std::optional<unsigned> minor;  // N of /dev/nvidiaN
  PciAddress pci;
  std::optional<std::uint64_t> memoryBytes;  // absent: the driver does not say (GB10)
  std::optional<ComputeCapability> compute;
  std::optional<int> numaNode;             // nearest CPUs' node (sysfs)
  std::optional<unsigned> memoryNumaNode;  // where its memory is a NUMA node itself (GH200)
  std::optional<std::uint32_t> pciClass;   // 0x030200: 3D controller
  bool migCapable = false;
  bool migEnabled = false;
  std::vector<MigDevice> migDevices;
  std::vector<NvLink> nvLinks;  // active ones
  std::vector<GpuDistance> distances;
  std::optional<EccCounts> ecc;  // absent where ECC is off or unknown
  PcieLink pcie;
};

struct DriverInfo {
  std::string version;  // "550.54.15"
  std::string library;  // the file that was loaded
  int cudaMajor = 0;    // newest CUDA the driver runs; 0.0 when unknown
  int cudaMinor = 0;
};

struct GpuInventory {
  // Not empty: this machine has no GPU driver, and this line says what is missing. Then there are
  // no GPUs, and that is all right.
  std::string absence;
  DriverInfo driver;
  std::vector<Gpu> gpus;              // by index
  std::vector<std::string> problems;  // GPUs that are there and cannot be used, one line each
};

struct GpuLibraryOptions {
  std::vector<std::string> libraries{"libnvidia-ml.so.1"};  // tried in this order
  std::string sys;  // sysfs, for NUMA node and PCI class; empty: these stay unknown
};

// Owns the NVML session: opened at the first use, kept, closed by release() or the end.
// Thread-safe. A GPU can only be reset while no program has it open, NVML included: release() then.
class GpuLibrary {
 public:
  // `filesystem` outlives the library; null allowed when options.sys is empty.
  explicit GpuLibrary(GpuLibraryOptions options, os::Filesystem* filesystem = nullptr);

  // Asks the driver anew. Takes milliseconds, but the first call may initialise the GPUs, which
  // takes seconds each where nothing else keeps them open (no persistence daemon).
  Result<GpuInventory> inventory();

  // For src/gpu. A null session: no driver; `absence` says why.
  struct Session {
    std::shared_ptr<Nvml> nvml;
    std::string absence;
  };
  Result<Session> session();
  // Lets go of the session; it closes when its last user does.
  void release();

 private:
  void addSysfs(Gpu& gpu) const;

  GpuLibraryOptions options_;
  os::Filesystem* filesystem_;
  std::mutex mutex_;
  std::shared_ptr<Nvml> nvml_;
};

}  // namespace railhead::gpu
