// What the agent did to VFs for pods, on disk before it does it, so that a killed agent can finish
// or undo. One file for each attachment below <state>/attachments, written atomically.
#pragma once

#include "src/attach/config.h"
#include "src/attach/networks.h"
#include "src/attach/request.h"
#include "src/attach/result.h"
#include "src/base/mac.h"
#include "src/base/pci_address.h"
#include "src/netlink/types.h"
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
  std::string alias;
  Mac mac;
  int mtu = 0;
  bool up = false;
  netlink::VfChange vfBefore;  // the settings of the VF that ADD changes, as they were
  // In the pod.
  std::string podName;  // "net1"
  int podMtu = 0;
  std::vector<IpPrefix> addresses;
  std::vector<IpAddress> gateways;  // told in the result; at most one of each family
  std::vector<ResultRoute> routes;  // added once the link is up; they go with the link
  ResultDns dns;
  RdmaUse rdma = RdmaUse::kNone;
  std::string rdmaDevice;     // soft-RoCE: ours; otherwise the VF's own; empty without RDMA
  netlink::VfChange vfInPod;  // its `mac` is the netdev's in the pod, too

  const Mac& podMac() const { return vfInPod.mac ? *vfInPod.mac : mac; }
};

// CNI plugins executed one after the other for one interface, with all that their DEL needs: a
// network that is changed or deleted meanwhile does not matter.
struct ChainRecord {
  std::string network;  // "namespace/name"
  std::string ifname;   // CNI_IFNAME
  std::string cniVersion;
  std::vector<PluginConfig> plugins;  // stdin of each, without prevResult
  bool behindRail = false;     // chained to the rail of this name; its result stands for both
  std::size_t begun = 0;       // for how many of them ADD was called
  std::string result;          // of the last that succeeded
  bool checkDisabled = false;  // the network's author wants no CHECK
  // The plugins were told of the pod's device information file (device_info.h), which goes with
  // them; what it said after ADD, if it said anything.
  bool toldDeviceInfo = false;
  std::string deviceInfo;
  // Whose file it begins as, before ADD; empty: nobody's.
  std::string resource;
  std::string device;
  // Behind CNI_ARGS of ADD alone. Not on disk: an ADD that was cut off is undone, not gone on with.
  std::string argumentsForAdd;
};

// A gateway that the pod's default route goes through.
struct DefaultRouteRecord {
  std::string ifname;
  IpAddress gateway;
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
  std::vector<ChainRecord> ipam;       // one for each rail whose network has an IPAM plugin
  std::vector<ChainRecord> delegates;  // networks of other types, and what is chained to rails
  std::vector<DefaultRouteRecord> defaultRoutes;
  std::vector<netlink::Route> takenRoutes;  // default routes that those replaced
  // As the runtime called us, for plugins.
  std::string cniArgs;
  std::string cniPath;

  bool hasPlugins() const { return !ipam.empty() || !delegates.empty(); }
  bool empty() const { return rails.empty() && !hasPlugins() && defaultRoutes.empty(); }
};

// Thread-safe as its Filesystem is, for different attachments.
class Journal {
 public:
  // Makes the directory.
  static Result<Journal> open(os::Filesystem& files, const os::HostPaths& paths);

  // kExhausted when the record would be too large to be read back.
  Result<void> write(const Attachment& attachment);
  Result<void> erase(const AttachmentId& id);

  struct Contents {
    std::vector<Attachment> attachments;
    std::vector<Error> damaged;  // files that cannot be read; they are left where they are
  };
  // For the start: also removes what an interrupted write left.
  Result<Contents> readAll();

 private:
  Journal(os::Filesystem& files, std::string state, std::string directory)
      : files_(&files), state_(std::move(state)), directory_(std::move(directory)) {}
  std::string pathOf(const AttachmentId& id) const;

  os::Filesystem* files_;
  std::string state_;
  std::string directory_;
};

inline constexpr std::size_t kMaxRecord = 8 << 20;  // bytes

std::string encodeAttachment(const Attachment& attachment);
Result<Attachment> decodeAttachment(std::string_view text);

}  // namespace railhead::attach
