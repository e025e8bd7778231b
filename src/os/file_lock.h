// One process at a time. The kernel drops the lock with the process, however it ends.
#pragma once

#include "src/base/result.h"
#include "src/os/unique_fd.h"

#include <string>

namespace railhead::os {

// Makes the file and locks it for as long as the descriptor is open. kBusy names the holder's pid.
Result<UniqueFd> lockFile(const std::string& path);

}  // namespace railhead::os
