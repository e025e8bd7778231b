// Ends processes as an accident does: SIGKILL, and nobody is told. For tests of what is left then.
#pragma once

#include "src/base/result.h"

#include <cstdint>
#include <string>

namespace railhead::lab {

// What tells one namespace from another: the inode behind its path.
Result<std::uint64_t> namespaceId(const std::string& path);

// Every process in that network namespace but the calling one; returns when they are gone or after
// 2 s. `proc`: where procfs is mounted.
void killInside(const std::string& proc, std::uint64_t netns);

// Takes the mount off that keeps a namespace alive and removes its file; succeeds when it is gone.
Result<void> releaseNamespace(const std::string& path);

}  // namespace railhead::lab
