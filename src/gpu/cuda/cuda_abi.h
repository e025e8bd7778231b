// The part of the CUDA driver's binary interface that we use: our own declarations of its types,
// codes and calls. Private to src/gpu/cuda and its fake (tests/support/fake_cuda); no CUDA toolkit
// is needed to build.
//
// Source: NVIDIA's CUDA Driver API Reference (docs.nvidia.com/cuda/cuda-driver-api); numbers and
// argument lists were held against the interface of CUDA 13.0.
#pragma once

#include <cstddef>

namespace railhead::gpu::cuda::abi {

using Return = int;  // CUresult
inline constexpr Return kSuccess = 0;
inline constexpr Return kInvalidValue = 1;
inline constexpr Return kOutOfMemory = 2;
inline constexpr Return kNotInitialized = 3;
inline constexpr Return kStubLibrary = 34;
inline constexpr Return kDeviceUnavailable = 46;  // exclusive mode, or the driver is busy
inline constexpr Return kNoDevice = 100;
inline constexpr Return kInvalidDevice = 101;
inline constexpr Return kInvalidContext = 201;
inline constexpr Return kNoBinaryForGpu = 209;
inline constexpr Return kEccUncorrectable = 214;
inline constexpr Return kInvalidPtx = 218;
inline constexpr Return kJitCompilerNotFound = 221;
inline constexpr Return kUnsupportedPtxVersion = 222;
inline constexpr Return kInvalidHandle = 400;
inline constexpr Return kNotFound = 500;
inline constexpr Return kNotReady = 600;  // an answer, not a failure
inline constexpr Return kIllegalAddress = 700;
inline constexpr Return kLaunchFailed = 719;
inline constexpr Return kNotPermitted = 800;
inline constexpr Return kNotSupported = 801;
inline constexpr Return kSystemNotReady = 802;
inline constexpr Return kDriverMismatch = 803;  // libcuda.so and kernel driver
inline constexpr Return kCompatNotSupported = 804;
inline constexpr Return kMpsFirst = 805;  // 805 to 810: what may be wrong with MPS
inline constexpr Return kMpsLast = 810;
inline constexpr Return kUnknown = 999;

using Device = int;                        // CUdevice
using DevicePointer = unsigned long long;  // CUdeviceptr
using Context = struct ContextOpaque*;
using Stream = struct StreamOpaque*;
using Event = struct EventOpaque*;
using Module = struct ModuleOpaque*;
using Function = struct FunctionOpaque*;

struct Uuid {
  unsigned char bytes[16];
};
inline constexpr int kNameBytes = 128;
inline constexpr int kPciAddressBytes = 32;

using Attribute = int;  // CUdevice_attribute
inline constexpr Attribute kMultiprocessors = 16;
inline constexpr Attribute kIntegrated = 18;
inline constexpr Attribute kCanMapHostMemory = 19;
inline constexpr Attribute kUnifiedAddressing = 41;
inline constexpr Attribute kComputeMajor = 75;
inline constexpr Attribute kComputeMinor = 76;
inline constexpr Attribute kHostNativeAtomics = 86;
inline constexpr Attribute kPageableMemoryAccess = 88;
inline constexpr Attribute kConcurrentManagedAccess = 89;
inline constexpr Attribute kPageableUsesHostPageTables = 100;
inline constexpr Attribute kVirtualMemoryManagement = 102;
inline constexpr Attribute kGdrWithVmm = 110;  // GPU_DIRECT_RDMA_WITH_CUDA_VMM_SUPPORTED
inline constexpr Attribute kGdr = 116;         // GPU_DIRECT_RDMA_SUPPORTED
inline constexpr Attribute kGdrFlushOptions = 117;
inline constexpr Attribute kGdrWritesOrdering = 118;
inline constexpr Attribute kDmaBuf = 124;      // DMA_BUF_SUPPORTED, from CUDA 11.7
inline constexpr Attribute kMpsEnabled = 133;  // from CUDA 12.0
inline constexpr Attribute kHostAllocDmaBuf = 146;

inline constexpr int kFlushByHost = 1;  // bits of kGdrFlushOptions
inline constexpr int kFlushByMemoryOperation = 2;

inline constexpr unsigned int kHostAllocPortable = 1;
inline constexpr unsigned int kHostAllocDeviceMap = 2;
inline constexpr unsigned int kStreamNonBlocking = 1;
inline constexpr unsigned int kEventDefault = 0;
inline constexpr unsigned int kEventDisableTiming = 2;
inline constexpr int kPointerSyncMemops = 6;
inline constexpr int kRangeHandleDmaBuf = 1;
inline constexpr int kFlushCurrentContext = 0;
inline constexpr int kFlushToOwner = 100;
// CUjit_option
inline constexpr int kJitErrorLog = 5;
inline constexpr int kJitErrorLogBytes = 6;

// Every call: X(member of Driver, exported name, arguments). All return Return. These every driver
// since CUDA 11.0 has.
#define RAILHEAD_CUDA_CALLS(X)                                                                     \
  X(init, cuInit, (unsigned int))                                                                  \
  X(driverVersion, cuDriverGetVersion, (int*))                                                     \
  X(errorName, cuGetErrorName, (Return, const char**))                                             \
  X(errorString, cuGetErrorString, (Return, const char**))                                         \
  X(deviceCount, cuDeviceGetCount, (int*))                                                         \
  X(deviceByOrdinal, cuDeviceGet, (Device*, int))                                                  \
  X(deviceName, cuDeviceGetName, (char*, int, Device))                                             \
  X(deviceUuid, cuDeviceGetUuid, (Uuid*, Device))                                                  \
  X(deviceMemory, cuDeviceTotalMem_v2, (std::size_t*, Device))                                     \
  X(deviceAttribute, cuDeviceGetAttribute, (int*, Attribute, Device))                              \
  X(devicePciAddress, cuDeviceGetPCIBusId, (char*, int, Device))                                   \
  X(retainPrimary, cuDevicePrimaryCtxRetain, (Context*, Device))                                   \
  X(releasePrimary, cuDevicePrimaryCtxRelease_v2, (Device))                                        \
  X(pushCurrent, cuCtxPushCurrent_v2, (Context))                                                   \
  X(popCurrent, cuCtxPopCurrent_v2, (Context*))                                                    \
  X(memoryInfo, cuMemGetInfo_v2, (std::size_t*, std::size_t*))                                     \
  X(allocate, cuMemAlloc_v2, (DevicePointer*, std::size_t))                                        \
  X(free, cuMemFree_v2, (DevicePointer))                                                           \
  X(allocateHost, cuMemHostAlloc, (void**, std::size_t, unsigned int))                             \
  X(freeHost, cuMemFreeHost, (void*))                                                              \
  X(hostDevicePointer, cuMemHostGetDevicePointer_v2, (DevicePointer*, void*, unsigned int))        \
  X(setPointerAttribute, cuPointerSetAttribute, (const void*, int, DevicePointer))                 \
  X(copyToDevice, cuMemcpyHtoDAsync_v2, (DevicePointer, const void*, std::size_t, Stream))         \
  X(copyToHost, cuMemcpyDtoHAsync_v2, (void*, DevicePointer, std::size_t, Stream))                 \
  X(copyOnDevice, cuMemcpyDtoDAsync_v2, (DevicePointer, DevicePointer, std::size_t, Stream))       \
  X(setBytes, cuMemsetD8Async, (DevicePointer, unsigned char, std::size_t, Stream))                \
  X(createStream, cuStreamCreate, (Stream*, unsigned int))                                         \
  X(destroyStream, cuStreamDestroy_v2, (Stream))                                                   \
  X(queryStream, cuStreamQuery, (Stream))                                                          \
  X(createEvent, cuEventCreate, (Event*, unsigned int))                                            \
  X(destroyEvent, cuEventDestroy_v2, (Event))                                                      \
  X(recordEvent, cuEventRecord, (Event, Stream))                                                   \
  X(queryEvent, cuEventQuery, (Event))                                                             \
  X(waitEvent, cuStreamWaitEvent, (Stream, Event, unsigned int))                                   \
  X(elapsedTime, cuEventElapsedTime, (float*, Event, Event))                                       \
  X(loadModule, cuModuleLoadDataEx, (Module*, const void*, unsigned int, int*, void**))            \
  X(unloadModule, cuModuleUnload, (Module))                                                        \
  X(moduleFunction, cuModuleGetFunction, (Function*, Module, const char*))                         \
  X(launchKernel, cuLaunchKernel,                                                                  \
    (Function, unsigned int, unsigned int, unsigned int, unsigned int, unsigned int, unsigned int, \
     unsigned int, Stream, void**, void**))

// These came later; a null member says that this driver is older.
#define RAILHEAD_CUDA_LATER_CALLS(X)                                                           \
  X(deviceUuidOfInstance, cuDeviceGetUuid_v2, (Uuid*, Device)) /* 11.4: of a MIG device too */ \
  X(flushRemoteWrites, cuFlushGPUDirectRDMAWrites, (int, int)) /* 11.3 */                      \
  X(rangeHandle, cuMemGetHandleForAddressRange,                /* 11.7 */                      \
    (void*, DevicePointer, std::size_t, int, unsigned long long))

}  // namespace railhead::gpu::cuda::abi
