// The process that keeps a lab alive: it owns the nodes, the wire and the lab's socket. It is born
// with one descriptor, a stream socket whose other end its starter holds.
//
// The starter sends a StartOrder and gets StartReports. As long as the lab is not up, and for a
// bound lab also afterwards, the end of that socket ends the lab; so does SIGTERM, and a client's
// kDown. When the keeper is killed outright, the kernel takes the nodes, the sockets and the names.
#pragma once

#include "src/base/error.h"
#include "src/os/host_paths.h"
#include "src/os/unique_fd.h"

namespace railhead::lab {

// Runs a keeper to its end in this process, which does nothing else. Takes over its signals.
ExitCode runKeeper(os::UniqueFd starter, const os::HostPaths& paths);

}  // namespace railhead::lab
