// Linux capabilities of this process: what a root daemon may do beyond owning root's files.
#pragma once

#include "src/base/result.h"

#include <set>
#include <string_view>

namespace railhead::os {

// Those that some part of Railhead needs; the numbers are the kernel's.
enum class Capability : int {
  kNetBindService = 10,
  kNetAdmin = 12,
  kSysAdmin = 21,
};
std::string_view capabilityName(Capability capability);  // "CAP_NET_ADMIN"

// Gives up, for good, every capability but `wanted`: of the calling thread, of the threads it
// starts afterwards and of the programs they execute, which get the same ones when they run as
// root. Sets no_new_privs, so that no program gets more by its file's mode or capabilities.
// Returns those of `wanted` that are held; the others were not held before either. To be called
// while the process has one thread: threads have capabilities of their own.
Result<std::set<Capability>> keepOnlyCapabilities(const std::set<Capability>& wanted);

}  // namespace railhead::os
