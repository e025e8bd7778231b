// Moves one VF into a pod's namespace and back, and looks at it there. State-driven: bringHome()
// finds the VF wherever it is and does only what is missing, so it serves as undo, as DEL and as
// recovery after a crash. One thread at a time; lives for one operation.
#pragma once

#include "src/attach/journal.h"
#include "src/base/result.h"
#include "src/netlink/client.h"
#include "src/os/clock.h"
#include "src/os/filesystem.h"
#include "src/os/netns.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace railhead::attach {

// The soft-RoCE device on a VF: unique on the node and the same every time, "rxe_0000_01_10_0".
std::string softRoceName(const PciAddress& vf);

// The name a VF gets when nothing else tells its own: the PF's with "v" and the index,
// "enp1s0f0np0v3", shortened at the front to fit.
std::string plainVfName(const std::string& pfName, int vfIndex);

// Whether a VF on the host that nobody holds came there without us: it still has the alias that it
// had in its pod, which says its own name ("railhead:enp1s0f0np0v3"), or a name that only a pod
// gives (net1, or devN of a clash).
bool isStray(const netlink::Link& link);

enum class Homecoming {
  kHome,    // the VF is on the host, as it was
  kAbsent,  // the VF does not exist any more: nothing to put back
  kNotYet,  // the kernel has not given it back
};

class RailMover {
 public:
  // Opens clients for the host's namespace. The references must outlive the mover.
  static Result<RailMover> open(os::Filesystem& files, const os::HostPaths& paths,
                                os::NetnsOpener& netns, netlink::NetlinkOpener& netlink,
                                os::Clock& clock);

  // Fills what is found on the host: hostName, alias, mac, mtu, up, vfBefore, rdmaDevice. The
  // podMtu of 0 becomes the VF's own. kUnavailable when the VF has no netdev on the host.
  Result<void> survey(RailRecord& rail);

  // The parts of an attach; bringHome() undoes what was done. Each stops at its first step that
  // fails.
  // VF settings, down, alias, MAC, MTU, move, addresses.
  Result<void> moveIn(const RailRecord& rail, const os::Netns& pod);
  // After moveIn(): up, routes and rules. A route that is there already stays.
  Result<void> bringUp(const RailRecord& rail, const os::Netns& pod);
  // After moveIn(): gives the pod the rail's RDMA device. May run in a thread of its own beside
  // bringUp() and moveIn() of other rails.
  Result<void> moveRdmaIn(const RailRecord& rail, const os::Netns& pod) const;
  // Whether moveRdmaIn() needs the kernel's lock on links no more, which a link that comes up keeps
  // while its driver waits for the card. May be asked while that runs in another thread.
  bool rdmaHasBegun(const RailRecord& rail) const;
  // After all of these: until the rail's addresses are RoCE v2 GIDs of its RDMA device;
  // kDeadlineExceeded.
  Result<void> waitForGid(const RailRecord& rail, const os::Netns& pod,
                          std::chrono::milliseconds wait);

  // `pod`: nullptr when the namespace is gone; then waits up to `wait` for the kernel to return
  // the VF. An error says all that could not be put back; calling again tries again.
  Result<Homecoming> bringHome(const RailRecord& rail, const os::Netns* pod,
                               std::chrono::milliseconds wait);

  // kCheckFailed says what is not as recorded.
  Result<void> verify(const RailRecord& rail, const os::Netns& pod);

  Result<std::vector<netlink::Link>> hostLinks() { return host_->links(); }
  Result<std::vector<netlink::Link>> podLinks(const os::Netns& pod);
  // Closes what is open of the pod's namespace; it is opened again when it is needed.
  void leave() { inside_.reset(); }
  struct Renamed {
    std::string from;
    std::string to;
  };
  // Looks at the VF, and when it is a stray on the host sets it down and gives it its own name, or
  // plainVfName() when that is not known or taken, and takes away what a network may have set on it
  // (VLAN, rates, link state): nobody knows any more what it was. Nothing when it is no stray (any
  // more).
  Result<std::optional<Renamed>> bringStrayHome(const PciAddress& vf, const PciAddress& pf,
                                                int vfIndex);

  // What a person should know though it worked, such as a VF that had to take another name.
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  RailMover() = default;
  Result<netlink::LinkClient*> insideOf(const os::Netns& pod);
  Result<std::optional<netlink::Link>> findOnHost(const PciAddress& device);
  Result<std::optional<netlink::Link>> findInPod(const PciAddress& device, const os::Netns& pod);
  Result<netlink::Link> arrived(const RailRecord& rail, const os::Netns& pod);
  Result<netlink::Link> pfLink(const PciAddress& pf);
  Result<void> setVf(const RailRecord& rail, const netlink::VfChange& wanted);
  Result<void> rememberVf(RailRecord& rail);
  Result<void> rememberRdma(RailRecord& rail, const netlink::Link& link);
  Result<void> removeSoftRoce(const RailRecord& rail, const os::Netns* pod);
  // A dead namespace took the netdev from its soft-RoCE device, and the kernel removes that by
  // itself.
  Result<void> awaitSoftRoceGone(const RailRecord& rail);
  // `space`: nullptr is the host's. Nothing: there is no such device, or no RDMA at all.
  Result<std::optional<std::uint32_t>> softRoceIn(const RailRecord& rail, const os::Netns* space);
  Result<void> removeSoftRoceIn(const RailRecord& rail, const os::Netns* space);
  Result<void> forgetRules(const RailRecord& rail, const os::Netns& pod);
  Result<void> leavePod(const RailRecord& rail, const netlink::Link& link, const os::Netns& pod);
  Result<void> settleAtHome(const RailRecord& rail, const netlink::Link& link);
  Result<std::optional<netlink::Link>> awaitReturn(const RailRecord& rail,
                                                   std::chrono::milliseconds wait);
  Result<void> addRoutes(const RailRecord& rail, int linkIndex);
  Result<void> moveRdmaHome(const RailRecord& rail, const os::Netns& pod);
  std::string freeHostName(const RailRecord& rail);

  os::Filesystem* files_ = nullptr;
  os::HostPaths paths_;
  os::NetnsOpener* netns_ = nullptr;
  netlink::NetlinkOpener* netlink_ = nullptr;
  os::Clock* clock_ = nullptr;
  os::Netns home_;
  std::unique_ptr<netlink::LinkClient> host_;
  std::unique_ptr<netlink::LinkClient> inside_;  // of the one pod this operation is about
  os::NetnsId insideId_;
  std::vector<std::string> notes_;
};

}  // namespace railhead::attach
