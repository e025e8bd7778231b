// CUDA without the toolkit: the driver's library by dlopen, its devices as values, and work on one
// device (src/gpu/cuda/context.h). A machine without the library or without a device is a normal
// machine, not an error. No CUDA type leaves src/gpu/cuda; handles that another library takes
// (NCCL: a stream, an address) pass as void* and numbers.
//
// Thread-safe. The driver lives as long as its last user.
#pragma once

#include "src/base/pci_address.h"
#include "src/base/result.h"
#include "src/gpu/gpu.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::gpu::cuda {

class Context;
class Driver;

// What the driver says of a device. An absent value: this driver does not know the question yet.
struct DeviceFacts {
  int ordinal = 0;   // among the devices this process sees (CUDA_VISIBLE_DEVICES)
  std::string uuid;  // "GPU-..."; a MIG device has "MIG-..." only where the driver is asked by NVML
  std::string name;
  std::optional<PciAddress> pci;
  ComputeCapability compute;
  int multiprocessors = 0;
  std::uint64_t memoryBytes = 0;
  bool integrated = false;  // shares the host's memory (GB10)

  // May a NIC reach memory of this device? By nvidia-peermem (nvidia_p2p_get_pages), by dma-buf,
  // and when the memory was made by the virtual memory calls.
  std::optional<bool> gpuDirectRdma;
  std::optional<bool> dmaBuf;
  std::optional<bool> gpuDirectRdmaWithVmm;
  std::optional<bool> hostAllocDmaBuf;  // dma-buf of pinned host memory
  // Whether such writes can be flushed by the host, and whether they must be (0: they must; 100:
  // not for this device; 200: not for any).
  std::optional<bool> gpuDirectFlushByHost;
  std::optional<int> gpuDirectWritesOrdering;

  std::optional<bool> virtualMemory;
  std::optional<bool> pageableMemoryAccess;        // reads plain host memory
  std::optional<bool> pageableUsesHostPageTables;  // by the host's page tables: coherent (GH200)
  std::optional<bool> hostNativeAtomics;           // NVLink-C2C or an integrated GPU
  std::optional<bool> concurrentManagedAccess;
  std::optional<bool> canMapHostMemory;
  std::optional<bool> unifiedAddressing;
  std::optional<bool> mps;  // this process shares the device through MPS
};

// Whether `wanted` ("GPU-8f...", "MIG-8f...", or the bare number) names this UUID.
bool sameUuid(std::string_view wanted, std::string_view uuid);

struct CudaOpening;

class Cuda {
 public:
  // The first of `libraries` that there is. kEnvironment: library and kernel driver do not fit, or
  // the device nodes may not be opened.
  static Result<CudaOpening> open(const std::vector<std::string>& libraries = {"libcuda.so.1"});

  std::string libraryPath() const;
  int version() const;                               // newest CUDA this driver runs: 13000
  std::string versionText() const;                   // "13.0"
  Result<std::vector<DeviceFacts>> devices() const;  // by ordinal
  // By ordinal ("0") or UUID. kNotFound lists those that there are.
  Result<DeviceFacts> device(std::string_view name) const;
  // The device's primary context, which every library of this process shares. The first one of a
  // process takes a second or so and a few hundred MB of the device.
  Result<std::shared_ptr<const Context>> retain(int ordinal) const;

 private:
  explicit Cuda(std::shared_ptr<const Driver> driver) : driver_(std::move(driver)) {}
  Result<DeviceFacts> factsOf(int ordinal) const;

  std::shared_ptr<const Driver> driver_;
};

struct CudaOpening {
  std::optional<Cuda> cuda;  // absent: no CUDA here
  std::string absence;       // then, in one line: what is missing
};

}  // namespace railhead::gpu::cuda
