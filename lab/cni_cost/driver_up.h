// What the kernel and the NIC's driver take of an ADD, whoever asks for it: two VFs, one of each
// PF, moved into a pod's network namespace and brought up there, and the software RoCE device that
// each needs in a node whose NIC has no RDMA.
#pragma once

#include "src/base/result.h"
#include "src/netlink/client.h"
#include "src/os/netns.h"

#include <memory>
#include <string>
#include <vector>

namespace railhead::lab {

class DriverUp {
 public:
  // The last VF of each PF, which must be on the host: no pod has it.
  static Result<DriverUp> open(const std::string& netnsPath);

  Result<void> moveInAndUp();
  Result<void> back();
  // While they are in the pod.
  Result<void> addSoftRoce();
  Result<void> removeSoftRoce();

 private:
  struct Vf {
    int index = 0;
    std::string name;
  };
  os::Netns host_, pod_;
  std::unique_ptr<netlink::LinkClient> onHost_, inPod_;
  std::unique_ptr<netlink::RdmaClient> rdmaOnHost_, rdmaInPod_;
  bool exclusive_ = false;  // RDMA network namespaces
  std::vector<Vf> vfs_;
};

}  // namespace railhead::lab
