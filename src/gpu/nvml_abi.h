// The part of NVML's binary interface that we use: our own declarations of its types, codes and
// calls. Private to src/gpu, its fake (tests/support/fake_nvml) and its recorder; no CUDA toolkit
// is needed to build.
//
// Source: NVIDIA's NVML API Reference (docs.nvidia.com/deploy/nvml-api); sizes, codes and argument
// lists were held against the nvml.h of CUDA 13.3 that github.com/NVIDIA/go-nvml publishes
// (gen/nvml).
#pragma once

#include <cstddef>

namespace railhead::gpu::abi {

// Opaque. A MIG device has a handle of the same type.
using Device = struct DeviceOpaque*;
using EventSet = struct EventSetOpaque*;

using Return = int;  // nvmlReturn_t
inline constexpr Return kSuccess = 0;
inline constexpr Return kUninitialized = 1;
inline constexpr Return kInvalidArgument = 2;
inline constexpr Return kNotSupported = 3;
inline constexpr Return kNoPermission = 4;
inline constexpr Return kNotFound = 6;
inline constexpr Return kInsufficientSize = 7;
inline constexpr Return kDriverNotLoaded = 9;
inline constexpr Return kTimeout = 10;
inline constexpr Return kLibraryNotFound = 12;
inline constexpr Return kFunctionNotFound = 13;
inline constexpr Return kGpuIsLost = 15;
inline constexpr Return kResetRequired = 16;
inline constexpr Return kVersionMismatch = 18;  // NVML_ERROR_LIB_RM_VERSION_MISMATCH
inline constexpr Return kUnknown = 999;

// Buffer sizes, in bytes with the final NUL.
inline constexpr unsigned int kUuidBytes = 96;     // NVML_DEVICE_UUID_V2_BUFFER_SIZE
inline constexpr unsigned int kNameBytes = 96;     // NVML_DEVICE_NAME_V2_BUFFER_SIZE
inline constexpr unsigned int kVersionBytes = 80;  // NVML_SYSTEM_DRIVER_VERSION_BUFFER_SIZE
inline constexpr unsigned int kMaxNvLinks = 36;    // NVML_NVLINK_MAX_LINKS

struct PciInfo {
  char busIdLegacy[16];
  unsigned int domain;
  unsigned int bus;
  unsigned int device;
  unsigned int pciDeviceId;  // device << 16 | vendor
  unsigned int pciSubSystemId;
  char busId[32];
};
static_assert(sizeof(PciInfo) == 68 && offsetof(PciInfo, busId) == 36);

struct Memory {  // bytes
  unsigned long long total;
  unsigned long long free;
  unsigned long long used;  // with what the driver reserves
};
static_assert(sizeof(Memory) == 24);

struct MemoryV2 {  // bytes; version is set by the caller
  unsigned int version;
  unsigned long long total;
  unsigned long long reserved;
  unsigned long long free;
  unsigned long long used;
};
static_assert(sizeof(MemoryV2) == 40 && offsetof(MemoryV2, total) == 8);
// NVML_STRUCT_VERSION: the size, and the version in the top byte.
inline constexpr unsigned int kMemoryV2Version = sizeof(MemoryV2) | (2U << 24);
static_assert(kMemoryV2Version == 0x2000028);

struct Attributes {  // of a MIG device
  unsigned int multiprocessorCount;
  unsigned int sharedCopyEngineCount;
  unsigned int sharedDecoderCount;
  unsigned int sharedEncoderCount;
  unsigned int sharedJpegCount;
  unsigned int sharedOfaCount;
  unsigned int gpuInstanceSliceCount;
  unsigned int computeInstanceSliceCount;
  unsigned long long memorySizeMB;  // MiB
};
static_assert(sizeof(Attributes) == 40 && offsetof(Attributes, memorySizeMB) == 32);

struct EventData {
  Device device;
  unsigned long long eventType;
  unsigned long long eventData;    // the Xid of an Xid event; 999 when unknown
  unsigned int gpuInstanceId;      // kNoInstance unless the event belongs to one
  unsigned int computeInstanceId;  // likewise
};
static_assert(sizeof(EventData) == 32 && offsetof(EventData, gpuInstanceId) == 24);
inline constexpr unsigned int kNoInstance = 0xffffffff;

union FieldNumber {
  double real;
  int signedInt;
  unsigned int unsignedInt;
  unsigned long unsignedLong;
  unsigned long long unsignedLongLong;
  long long signedLongLong;
  unsigned short unsignedShort;
};

struct FieldValue {
  unsigned int fieldId;  // set by the caller
  unsigned int scopeId;
  long long timestamp;
  long long latencyUsec;
  unsigned int valueType;  // kFieldUnsignedInt: value.unsignedInt holds
  Return nvmlReturn;       // of this field; look at it before the value
  FieldNumber value;
};
static_assert(sizeof(FieldValue) == 40 && offsetof(FieldValue, value) == 32);
inline constexpr unsigned int kFieldUnsignedInt = 1;
// NVML_FI_DEV_GET_GPU_RECOVERY_ACTION, from NVML 12.8 (driver 570); older ones know no field 230.
inline constexpr unsigned int kFieldRecoveryAction = 230;
inline constexpr unsigned int kRecoveryNone = 0;
inline constexpr unsigned int kRecoveryReset = 1;
inline constexpr unsigned int kRecoveryReboot = 2;
inline constexpr unsigned int kRecoveryDrainP2p = 3;
inline constexpr unsigned int kRecoveryDrainAndReset = 4;
inline constexpr unsigned int kRecoveryImexDomain = 5;

// nvmlEventType bits.
inline constexpr unsigned long long kEventSingleBitEcc = 0x1;
inline constexpr unsigned long long kEventDoubleBitEcc = 0x2;
inline constexpr unsigned long long kEventPState = 0x4;
inline constexpr unsigned long long kEventXid = 0x8;
inline constexpr unsigned long long kEventClock = 0x10;
inline constexpr unsigned long long kEventPowerSource = 0x80;
inline constexpr unsigned long long kEventMigConfig = 0x100;
inline constexpr unsigned long long kEventSingleBitEccStorm = 0x200;
inline constexpr unsigned long long kEventDramRetirement = 0x400;
inline constexpr unsigned long long kEventDramRetirementFailure = 0x800;
inline constexpr unsigned long long kEventNonFatalPoison = 0x1000;
inline constexpr unsigned long long kEventFatalPoison = 0x2000;
inline constexpr unsigned long long kEventGpuUnavailable = 0x4000;
inline constexpr unsigned long long kEventRecoveryAction = 0x8000;

inline constexpr unsigned int kErrorCorrected = 0;  // nvmlMemoryErrorType_t
inline constexpr unsigned int kErrorUncorrected = 1;
inline constexpr unsigned int kEccVolatile = 0;   // nvmlEccCounterType_t: since the driver loaded
inline constexpr unsigned int kEccAggregate = 1;  // over the life of the device

inline constexpr unsigned int kNvLinkToGpu = 0;  // nvmlIntNvLinkDeviceType_t
inline constexpr unsigned int kNvLinkToSwitch = 2;

// Every call: X(member of Nvml, exported name, arguments). All return Return, except ErrorString.
#define RAILHEAD_NVML_CALLS(X)                                                                    \
  X(init, nvmlInit_v2, (void))                                                                    \
  X(shutdown, nvmlShutdown, (void))                                                               \
  X(driverVersion, nvmlSystemGetDriverVersion, (char*, unsigned int))                             \
  X(nvmlVersion, nvmlSystemGetNVMLVersion, (char*, unsigned int))                                 \
  X(cudaVersion, nvmlSystemGetCudaDriverVersion_v2, (int*))                                       \
  X(count, nvmlDeviceGetCount_v2, (unsigned int*))                                                \
  X(handleByIndex, nvmlDeviceGetHandleByIndex_v2, (unsigned int, Device*))                        \
  X(name, nvmlDeviceGetName, (Device, char*, unsigned int))                                       \
  X(uuid, nvmlDeviceGetUUID, (Device, char*, unsigned int))                                       \
  X(minorNumber, nvmlDeviceGetMinorNumber, (Device, unsigned int*))                               \
  X(pciInfo, nvmlDeviceGetPciInfo_v3, (Device, PciInfo*))                                         \
  X(memory, nvmlDeviceGetMemoryInfo, (Device, Memory*))                                           \
  X(memoryV2, nvmlDeviceGetMemoryInfo_v2, (Device, MemoryV2*))                                    \
  X(computeCapability, nvmlDeviceGetCudaComputeCapability, (Device, int*, int*))                  \
  X(numaNode, nvmlDeviceGetNumaNodeId, (Device, unsigned int*))                                   \
  X(migMode, nvmlDeviceGetMigMode, (Device, unsigned int*, unsigned int*))                        \
  X(maxMigDevices, nvmlDeviceGetMaxMigDeviceCount, (Device, unsigned int*))                       \
  X(migDevice, nvmlDeviceGetMigDeviceHandleByIndex, (Device, unsigned int, Device*))              \
  X(gpuInstance, nvmlDeviceGetGpuInstanceId, (Device, unsigned int*))                             \
  X(computeInstance, nvmlDeviceGetComputeInstanceId, (Device, unsigned int*))                     \
  X(attributes, nvmlDeviceGetAttributes_v2, (Device, Attributes*))                                \
  X(eventSetCreate, nvmlEventSetCreate, (EventSet*))                                              \
  X(eventSetFree, nvmlEventSetFree, (EventSet))                                                   \
  X(eventSetWait, nvmlEventSetWait_v2, (EventSet, EventData*, unsigned int))                      \
  X(registerEvents, nvmlDeviceRegisterEvents, (Device, unsigned long long, EventSet))             \
  X(supportedEvents, nvmlDeviceGetSupportedEventTypes, (Device, unsigned long long*))             \
  X(commonAncestor, nvmlDeviceGetTopologyCommonAncestor, (Device, Device, unsigned int*))         \
  X(nvLinkState, nvmlDeviceGetNvLinkState, (Device, unsigned int, unsigned int*))                 \
  X(nvLinkRemotePci, nvmlDeviceGetNvLinkRemotePciInfo_v2, (Device, unsigned int, PciInfo*))       \
  X(nvLinkRemoteType, nvmlDeviceGetNvLinkRemoteDeviceType, (Device, unsigned int, unsigned int*)) \
  X(eccMode, nvmlDeviceGetEccMode, (Device, unsigned int*, unsigned int*))                        \
  X(eccErrors, nvmlDeviceGetTotalEccErrors,                                                       \
    (Device, unsigned int, unsigned int, unsigned long long*))                                    \
  X(pcieGeneration, nvmlDeviceGetCurrPcieLinkGeneration, (Device, unsigned int*))                 \
  X(pcieMaxGeneration, nvmlDeviceGetMaxPcieLinkGeneration, (Device, unsigned int*))               \
  X(pcieWidth, nvmlDeviceGetCurrPcieLinkWidth, (Device, unsigned int*))                           \
  X(pcieMaxWidth, nvmlDeviceGetMaxPcieLinkWidth, (Device, unsigned int*))                         \
  X(remappedRows, nvmlDeviceGetRemappedRows,                                                      \
    (Device, unsigned int*, unsigned int*, unsigned int*, unsigned int*))                         \
  X(retiredPagesPending, nvmlDeviceGetRetiredPagesPendingStatus, (Device, unsigned int*))         \
  X(fieldValues, nvmlDeviceGetFieldValues, (Device, int, FieldValue*))

}  // namespace railhead::gpu::abi
