// The tuner part of NCCL's binary interface: our own declarations of what it calls and hands over.
// NCCL takes the newest version that a plugin exports and it knows: v3 2.22–2.23, v4 2.24–2.27,
// v5 2.28.3–2.29, v6 from 2.30.
//
// Source: the public headers src/include/nccl_tuner.h (2.22.3, 2.24.3) and
// src/include/plugin/tuner/tuner_v{3,4,5,6}.h (2.28.3, 2.30.7) of NVIDIA's NCCL, and
// src/include/nccl_common.h for the logger and the numbers of collectives.
#pragma once

#include <cstddef>
#include <cstdint>

namespace railhead::nccl_tuner::abi {

using Return = int;  // ncclResult_t
inline constexpr Return kSuccess = 0;

inline constexpr int kLogInfo = 3;                  // ncclDebugLogLevel
inline constexpr unsigned long kSubsystemInit = 1;  // ncclDebugLogSubSys, a mask
inline constexpr unsigned long kSubsystemTuning = 0x40;
using Logger = void (*)(int level, unsigned long subsystems, const char* file, int line,
                        const char* format, ...);  // ncclDebugLogger_t

inline constexpr int kProtocols = 3;   // ll, ll128, simple; the same in every version
inline constexpr int kAlgorithms = 7;  // tree to pat, appended to over time: 6 in 2.22

// The cost table is float[algorithms][protocols] in one piece of memory, whatever its type says.
using GetChoice = Return (*)(void* context, int collective, std::size_t bytes, int pipelined,
                             float** costs, int algorithms, int protocols, int registered,
                             int* channels);
using Close = Return (*)(void* context);

struct TunerV3 {
  const char* name;
  Return (*init)(std::size_t ranks, std::size_t nodes, Logger log, void** context);
  Return (*getChoice)(void* context, int collective, std::size_t bytes, int pipelined,
                      float** costs, int algorithms, int protocols, int* channels);
  Close destroy;
};

struct TunerV4 {
  const char* name;
  Return (*init)(std::size_t ranks, std::size_t nodes, Logger log, void** context);
  GetChoice getChoice;
  Close destroy;
};

// NVLink's domains and the constants of NCCL's cost model are looked at by nobody here.
using InitV5 = Return (*)(void** context, std::uint64_t communicator, std::size_t ranks,
                          std::size_t nodes, Logger log, void* domains, void* constants);

struct TunerV5 {
  const char* name;
  InitV5 init;
  GetChoice getChoice;
  Close finalize;
};

struct TunerV6 {
  const char* name;
  InitV5 init;
  GetChoice getChoice;
  Close finalize;
  Return (*getChunkSize)(void* context, int collective, std::size_t bytes, int algorithm,
                         int protocol, int channels, std::size_t* chunk);  // null: NCCL's own
};

static_assert(sizeof(TunerV3) == 4 * sizeof(void*) && sizeof(TunerV4) == 4 * sizeof(void*));
static_assert(sizeof(TunerV5) == 4 * sizeof(void*) && sizeof(TunerV6) == 5 * sizeof(void*));

}  // namespace railhead::nccl_tuner::abi
