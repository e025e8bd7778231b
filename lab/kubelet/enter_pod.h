// From a process of the node to one of a pod, as `kubectl exec` makes it.
#pragma once

#include "lab/kubelet/control.h"
#include "src/base/result.h"

#include <string>

namespace railhead::lab {

// Afterwards the calling process, which has one thread, is in the pod: its network namespace
// with a sysfs of it, and where a container runtime made the pod, in the container's mounts and
// cgroup too, so that only what the container was given is there. Not its process namespace and not
// its lack of privilege.
Result<void> enterPod(const ControlClient::Door& door);

// What a command wrote, of a log whose lines have CRI's prefix ("2026-01-01T00:00:00Z stdout F ").
std::string withoutMarks(const std::string& log);

}  // namespace railhead::lab
