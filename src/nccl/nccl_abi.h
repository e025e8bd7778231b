// The part of NCCL's binary interface that we use: our own declarations of its types, codes and
// calls. Private to src/nccl and its fake (tests/support/fake_nccl); NCCL is not needed to build.
//
// Source: NVIDIA's NCCL User Guide (docs.nvidia.com/deeplearning/nccl), API of 2.18; numbers and
// argument lists were held against the interface of 2.28.9.
#pragma once

#include <climits>
#include <cstddef>

namespace railhead::nccl::abi {

using Return = int;  // ncclResult_t
inline constexpr Return kSuccess = 0;
inline constexpr Return kUnhandledCudaError = 1;
inline constexpr Return kSystemError = 2;
inline constexpr Return kInternalError = 3;
inline constexpr Return kInvalidArgument = 4;
inline constexpr Return kInvalidUsage = 5;
inline constexpr Return kRemoteError = 6;
inline constexpr Return kInProgress = 7;  // an answer of a communicator that does not block

using Comm = struct CommOpaque*;
using Stream = struct StreamOpaque*;  // cudaStream_t, which is CUstream

struct UniqueId {  // by value in calls
  char bytes[128];
};

// The version that a configuration says it was written for: as NCCL numbers itself from 2.9 on.
inline constexpr int kConfigVersion = 21800;
inline constexpr int kUndefined = INT_MIN;
inline constexpr unsigned int kConfigMagic = 0xcafebeef;
struct Config {  // ncclConfig_t of 2.18; later ones go on behind it
  std::size_t size = sizeof(Config);
  unsigned int magic = kConfigMagic;
  unsigned int version = kConfigVersion;
  int blocking = kUndefined;
  int cgaClusterSize = kUndefined;
  int minCtas = kUndefined;
  int maxCtas = kUndefined;
  const char* netName = nullptr;
  int splitShare = kUndefined;
  int behind = kUndefined;  // padding in 2.18, where later versions have their next number
};
static_assert(sizeof(Config) == 48 && offsetof(Config, netName) == 32);

using DataType = int;  // ncclDataType_t
inline constexpr DataType kInt8 = 0;
inline constexpr DataType kUint8 = 1;
inline constexpr DataType kInt32 = 2;
inline constexpr DataType kInt64 = 4;
inline constexpr DataType kFloat16 = 6;
inline constexpr DataType kFloat32 = 7;
inline constexpr DataType kFloat64 = 8;
inline constexpr DataType kBfloat16 = 9;
using Reduction = int;  // ncclRedOp_t
inline constexpr Reduction kSum = 0;

// X(member of Library, exported name, answer, arguments). Every NCCL since 2.18 has them.
#define RAILHEAD_NCCL_CALLS(X)                                                                   \
  X(getVersion, ncclGetVersion, Return, (int*))                                                  \
  X(errorString, ncclGetErrorString, const char*, (Return))                                      \
  X(lastError, ncclGetLastError, const char*, (Comm))                                            \
  X(getUniqueId, ncclGetUniqueId, Return, (UniqueId*))                                           \
  X(initRank, ncclCommInitRankConfig, Return, (Comm*, int, UniqueId, int, Config*))              \
  X(split, ncclCommSplit, Return, (Comm, int, int, Comm*, Config*))                              \
  X(asyncError, ncclCommGetAsyncError, Return, (Comm, Return*))                                  \
  X(finalize, ncclCommFinalize, Return, (Comm))                                                  \
  X(destroy, ncclCommDestroy, Return, (Comm))                                                    \
  X(abort, ncclCommAbort, Return, (Comm))                                                        \
  X(allReduce, ncclAllReduce, Return,                                                            \
    (const void*, void*, std::size_t, DataType, Reduction, Comm, Stream))                        \
  X(allGather, ncclAllGather, Return, (const void*, void*, std::size_t, DataType, Comm, Stream)) \
  X(reduceScatter, ncclReduceScatter, Return,                                                    \
    (const void*, void*, std::size_t, DataType, Reduction, Comm, Stream))                        \
  X(broadcast, ncclBroadcast, Return,                                                            \
    (const void*, void*, std::size_t, DataType, int, Comm, Stream))                              \
  X(reduce, ncclReduce, Return,                                                                  \
    (const void*, void*, std::size_t, DataType, Reduction, int, Comm, Stream))                   \
  X(send, ncclSend, Return, (const void*, std::size_t, DataType, int, Comm, Stream))             \
  X(receive, ncclRecv, Return, (void*, std::size_t, DataType, int, Comm, Stream))                \
  X(groupStart, ncclGroupStart, Return, (void))                                                  \
  X(groupEnd, ncclGroupEnd, Return, (void))

}  // namespace railhead::nccl::abi
