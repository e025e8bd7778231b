// A probe of our own: every rank registers memory of its GPU with its NIC, the rank before it
// writes a pattern there by RDMA, and the GPU compares every byte. It shows what NIC, driver and
// GPU can do together, whatever NCCL made of it.
#pragma once

#include "src/base/result.h"
#include "src/collective/communicator.h"
#include "src/collective/group.h"
#include "src/os/unique_fd.h"
#include "src/verbs/verbs.h"
#include "src/verify/facts.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace railhead::verify {

inline constexpr std::size_t kProbeBytes = 1 << 20;  // that each rank receives

// A rank's GPU (src/gpu/cuda/context.h says what each call means).
struct ProbedGpu {
  collective::Memory& memory;
  std::function<Result<os::UniqueFd>(std::uint64_t address, std::size_t bytes)> exportDmabuf;
  std::function<Result<void>(std::uint64_t address)> orderWithRemoteAccess;
  std::function<Result<void>()> flushRemoteWrites;
};

struct ProbeOutcome {
  std::optional<ProbeResult> result;  // absent: it could not be tried at all
  std::string why;                    // then
};

// All ranks call it together, with and without a GPU (`gpu` null). An Error only when the gang is
// broken; what this rank or its neighbours lack is in the outcome.
Result<ProbeOutcome> probeDevice(collective::Group& group, verbs::Verbs& verbs, ProbedGpu* gpu);

}  // namespace railhead::verify
