// The file systems of an immutable node: what is mounted where, and what of it can be written.
#pragma once

#include "src/base/result.h"

#include <string>
#include <vector>

namespace railhead::lab {

struct MountStep {
  const char* type;
  const char* source;
  const char* target;
  unsigned long flags;
  const char* options;
};

// Kernel views that PID 1 itself needs before there is a root image.
const std::vector<MountStep>& earlyMounts();
// On the root image, in order. Writable are only these tmpfs: /run /tmp /var /opt /etc/cni.
const std::vector<MountStep>& nodeMounts();
// Folders and links made afterwards on the writable ones.
const std::vector<std::string>& nodeFolders();
struct NodeLink {
  const char* target;
  const char* path;
};
const std::vector<NodeLink>& nodeLinks();

// Mounts each step at `root` + its target, creating the folder when it can be created.
Result<void> mountAll(const std::vector<MountStep>& steps, const std::string& root);

// Mounts the read-only image on `device` and makes it the root of this process and of the kernel's
// helpers; what the initramfs held is freed. Waits at most `waitMilliseconds` for the device.
Result<void> enterRootImage(const std::string& device, int waitMilliseconds);

// The host's folder at `folder`, which is made. Every node has the same one, and nothing of it is
// kept in a node's memory: what one wrote the others see.
Result<void> mountShare(const std::string& folder);

// nodeMounts, nodeFolders, nodeLinks.
Result<void> layOutNode();

}  // namespace railhead::lab
