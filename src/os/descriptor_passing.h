// Open files handed from one process to another over a unix stream socket (SCM_RIGHTS).
#pragma once

#include "src/base/result.h"
#include "src/os/unique_fd.h"
#include "src/os/unix_socket.h"

#include <cstddef>
#include <vector>

namespace railhead::os {

inline constexpr std::size_t kMaxPassed = 128;  // of one call; the kernel takes 253 a message

// The other side gets duplicates. kInvalidArgument: more than kMaxPassed.
Result<void> sendDescriptors(int socket, const std::vector<UniqueFd>& files, Deadline deadline);
// As many as one sendDescriptors() sent, close-on-exec. kCorrupt: something else came.
Result<std::vector<UniqueFd>> receiveDescriptors(int socket, Deadline deadline);

}  // namespace railhead::os
