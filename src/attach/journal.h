// What the agent did to VFs for pods, on disk before it does it, so that a killed agent can finish
// or undo. One file for each attachment below <state>/attachments, written atomically.
#pragma once

#include "src/attach/config.h"
#include "src/attach/request.h"
#include "src/base/mac.h"
#include "src/base/pci_address.h"
#include "src/os/filesystem.h"
#include "src/os/netns.h"

#include <string>
#include <vector>

namespace railhead::attach {

// One VF: what it was on the host, and what it is in the pod.
struct RailRecord {
  PciAddress vf;
  PciAddress pf;
  int vfIndex = 0;
  int rail = 0;  // position in its rail set: 0 is the first twin
  std::string railSet;
  std::string network;  // "namespace/name"
  // As found on the host, restored by DEL.
  std::string hostName;
  Mac mac;
  int mtu = 0;
  bool up = false;
  netlink::VfChange vfBefore;  // the settings of the VF that ADD changes, as they were
  // In the pod.
  std::string podName;  // "net1"
  int podMtu = 0;
  std::vector<IpPrefix> addresses;
  RdmaUse rdma = RdmaUse::kNone;
  std::string rdmaDevice;  // soft-RoCE: ours; otherwise the VF's own; empty without RDMA
  netlink::VfChange vfInPod;
};

enum class AttachmentState {
  kAttaching,  // ADD has begun; without its end, it is undone
  kAttached,
  kDetaching,  // DEL has begun; it is finished
};

struct Attachment {
  AttachmentId id;
  AttachmentState state = AttachmentState::kAttaching;
  std::string networkName;
  std::string netnsPath;
  os::NetnsId netns;
  PodId pod;
  std::vector<RailRecord> rails;
};

// Thread-safe as its Filesystem is, for different attachments.
class Journal {
 public:
  // Makes the directory.
  static Result<Journal> open(os::Filesystem& files, const os::HostPaths& paths);

  Result<void> write(const Attachment& attachment);
  Result<void> erase(const AttachmentId& id);

  struct Contents {
    std::vector<Attachment> attachments;
    std::vector<Error> damaged;  // files that cannot be read; they are left where they are
  };
  // For the start: also removes what an interrupted write left.
  Result<Contents> readAll();

 private:
  Journal(os::Filesystem& files, std::string directory)
      : files_(&files), directory_(std::move(directory)) {}
  std::string pathOf(const AttachmentId& id) const;

  os::Filesystem* files_;
  std::string directory_;
};

std::string encodeAttachment(const Attachment& attachment);
Result<Attachment> decodeAttachment(std::string_view text);

}  // namespace railhead::attach
