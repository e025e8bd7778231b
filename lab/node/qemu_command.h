// The QEMU command of a node. Pure; tested as text.
#pragma once

#include "lab/node/lab_image.h"
#include "lab/topology/topology.h"

#include <string>
#include <vector>

namespace railhead::lab {

// Where a node has the folder that it shares with this machine.
inline constexpr const char* kNodeShare = "/run/share";

struct QemuSettings {
  std::string program = "qemu-system-x86_64";
  std::string accelerator = "tcg";  // or "kvm"
  std::string
      share;  // folder of this machine, absolute, that nodes have at kNodeShare; empty: none
};

// Descriptors that QEMU inherits under the numbers they have here.
struct NodeSockets {
  int qmp = -1;
  int console = -1;
  int control = -1;      // the guest's virtio-serial port "railhead.control"
  std::vector<int> pfs;  // one for each PF; -1: nothing is plugged in
};

std::vector<std::string> qemuCommand(const NodeSpec& node, const LabImage& image,
                                     const QemuSettings& settings, const NodeSockets& sockets);

// The kernel's command line: the node's name, what its PFs are called, where a share goes.
std::string kernelArguments(const NodeSpec& node, bool shares = false);

// Id of a PF's NIC in QEMU, for set_link.
std::string pfDeviceId(std::size_t pf);

}  // namespace railhead::lab
