// The RDMA half of RailMover.
#include "src/attach/rail_mover.h"
#include "src/base/text.h"

#include <algorithm>

namespace railhead::attach {
namespace {

constexpr std::chrono::milliseconds kGidPoll{5};
constexpr std::chrono::milliseconds kRemovalPoll{20};
constexpr std::chrono::milliseconds kKernelRemoves{2000};  // it takes some ten on an idle node
constexpr int kGidsRead = 64;  // of a table: ours come among the first, a whole one takes long

std::string groups(const IpAddress& address) {
  // A RoCE v2 GID is the IPv6 address, or ::ffff: with the IPv4 address behind it.
  std::array<std::uint8_t, 16> gid{};
  if (address.v6) {
    gid = address.bytes;
  } else {
    gid[10] = gid[11] = 0xff;
    std::copy_n(address.bytes.begin(), 4, gid.begin() + 12);
  }
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (std::size_t i = 0; i < gid.size(); ++i) {
    if (i != 0 && i % 2 == 0) text += ':';
    text += kDigits[gid[i] >> 4];
    text += kDigits[gid[i] & 15];
  }
  return text;
}

// Whether each address is a RoCE v2 GID of the port.
bool hasGids(os::Filesystem& files, const std::string& port,
             const std::vector<IpPrefix>& addresses) {
  std::vector<std::string> wanted;
  for (const IpPrefix& address : addresses) wanted.push_back(groups(address.address));
  for (int i = 0; i < kGidsRead && !wanted.empty(); ++i) {
    const std::string entry = std::to_string(i);
    const auto gid = files.readTrimmed(port + "/gids/" + entry);
    if (!gid.has_value()) break;
    const auto match = std::find(wanted.begin(), wanted.end(), *gid);
    if (match == wanted.end()) continue;
    const auto type = files.readTrimmed(port + "/gid_attrs/types/" + entry);
    if (type.has_value() && *type == "RoCE v2") wanted.erase(match);
  }
  return wanted.empty();
}

std::optional<netlink::RdmaDevice> named(const std::vector<netlink::RdmaDevice>& devices,
                                         const std::string& name) {
  for (const auto& device : devices) {
    if (device.name == name) return device;
  }
  return std::nullopt;
}

}  // namespace

std::string softRoceName(const PciAddress& vf) {
  std::string name = "rxe_" + vf.toString();
  std::replace(name.begin(), name.end(), ':', '_');
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
}

Result<void> RailMover::rememberRdma(RailRecord& rail, const netlink::Link& link) {
  if (rail.rdma == RdmaUse::kNone) return {};
  RAILHEAD_TRY_ASSIGN(const auto rdma, netlink_->openRdma(nullptr));
  if (rail.rdma == RdmaUse::kSoft) {
    rail.rdmaDevice = softRoceName(rail.vf);
    return {};
  }
  RAILHEAD_TRY_ASSIGN(const auto ports, rdma->ports());
  for (const auto& port : ports) {
    if (port.netdevIndex == link.index && port.netdev == link.name) {
      rail.rdmaDevice = port.device;
      return {};
    }
  }
  return Error(ErrorCode::kEnvironment, "VF " + rail.vf.toString() + " has no RDMA device",
               "load its RDMA driver (mlx5_ib), or set the network's rdma to soft or none");
}

Result<void> RailMover::moveRdmaIn(const RailRecord& rail, const os::Netns& pod) const {
  if (rail.rdma == RdmaUse::kNone) return {};
  if (rail.rdma == RdmaUse::kSoft) {
    // After the netdev's move: that takes a soft-RoCE device away.
    RAILHEAD_TRY_ASSIGN(const auto inside, netlink_->openRdma(&pod));
    RAILHEAD_TRY(inside->addSoftRoce(rail.rdmaDevice, rail.podName)
                     .addContext("soft-RoCE")
                     .addContext(rail.podName));
  }
  RAILHEAD_TRY_ASSIGN(const auto host, netlink_->openRdma(nullptr));
  RAILHEAD_TRY_ASSIGN(const auto mode, host->netnsMode());
  if (mode == netlink::RdmaNetnsMode::kShared) return {};  // the pod sees it where it is
  // A soft-RoCE device begins on the host, too, whoever asked for it.
  RAILHEAD_TRY_ASSIGN(const auto devices, host->devices());
  const auto device = named(devices, rail.rdmaDevice);
  if (!device) return Error(ErrorCode::kNotFound, "RDMA device " + rail.rdmaDevice + " is gone");
  return host->move(device->index, pod);
}

// A soft-RoCE device is registered under that lock, in its first milliseconds; then it is in sysfs,
// and some thousand files of it follow without the lock.
bool RailMover::rdmaHasBegun(const RailRecord& rail) const {
  return rail.rdma != RdmaUse::kSoft ||
         files_->exists(paths_.sys + "/class/infiniband/" + rail.rdmaDevice);
}

Result<void> RailMover::moveRdmaHome(const RailRecord& rail, const os::Netns& pod) {
  if (rail.rdma != RdmaUse::kDevice) return {};
  RAILHEAD_TRY_ASSIGN(const auto inside, netlink_->openRdma(&pod));
  RAILHEAD_TRY_ASSIGN(const auto mode, inside->netnsMode());
  if (mode == netlink::RdmaNetnsMode::kShared) return {};
  RAILHEAD_TRY_ASSIGN(const auto devices, inside->devices());
  const auto device = named(devices, rail.rdmaDevice);
  return device ? inside->move(device->index, home_) : Result<void>();
}

Result<void> RailMover::removeSoftRoce(const RailRecord& rail, const os::Netns* pod) {
  if (rail.rdma != RdmaUse::kSoft) return {};
  // An exclusive one that did not reach the pod is on the host.
  RAILHEAD_TRY(pod != nullptr ? removeSoftRoceIn(rail, pod) : awaitSoftRoceGone(rail));
  return removeSoftRoceIn(rail, nullptr);
}

// Not asked for meanwhile: Linux 7.3 was once seen to answer nobody about RDMA from such a moment
// on (docs/lab.md).
Result<void> RailMover::awaitSoftRoceGone(const RailRecord& rail) {
  const auto deadline = clock_->now() + kKernelRemoves;
  for (;;) {
    RAILHEAD_TRY_ASSIGN(const auto index, softRoceIn(rail, nullptr));
    if (!index || clock_->now() >= deadline) return {};
    clock_->sleepFor(kRemovalPoll);
  }
}

Result<std::optional<std::uint32_t>> RailMover::softRoceIn(const RailRecord& rail,
                                                           const os::Netns* space) {
  auto rdma = netlink_->openRdma(space);
  if (!rdma.has_value()) {
    if (rdma.error().code == ErrorCode::kUnsupported) return std::optional<std::uint32_t>();
    return std::move(rdma).error();
  }
  RAILHEAD_TRY_ASSIGN(const auto devices, (*rdma)->devices());
  const auto device = named(devices, rail.rdmaDevice);
  return device ? std::optional<std::uint32_t>(device->index) : std::nullopt;
}

Result<void> RailMover::removeSoftRoceIn(const RailRecord& rail, const os::Netns* space) {
  RAILHEAD_TRY_ASSIGN(const auto index, softRoceIn(rail, space));
  if (!index) return {};
  RAILHEAD_TRY_ASSIGN(const auto rdma, netlink_->openRdma(space));
  auto removed = rdma->removeSoftRoce(*index);
  if (!removed.has_value() && removed.error().code == ErrorCode::kNotFound) return {};
  return removed;
}

Result<void> RailMover::waitForGid(const RailRecord& rail, const os::Netns& pod,
                                   std::chrono::milliseconds wait) {
  if (rail.rdmaDevice.empty() || rail.addresses.empty()) return {};
  const std::string device = "/class/infiniband/" + rail.rdmaDevice + "/ports/1";
  os::Filesystem* files = files_;
  std::string port = paths_.sys + device;
  // An exclusive device is seen from its own namespace only. Its table is made anew by the move.
  std::unique_ptr<os::Filesystem> inside;
  if (!files->exists(port + "/gids")) {
    RAILHEAD_TRY_ASSIGN(inside, netns_->sysfs(pod).addContext("see the RoCE v2 GIDs of " +
                                                              rail.rdmaDevice + " in the pod"));
    files = inside.get();
    port = device;
  }
  const auto deadline = clock_->now() + wait;
  while (!hasGids(*files, port, rail.addresses)) {
    if (clock_->now() >= deadline) {
      return Error(ErrorCode::kDeadlineExceeded,
                   "RDMA device " + rail.rdmaDevice + " got no RoCE v2 GID for " +
                       rail.addresses.front().toString() + " within " +
                       std::to_string(wait.count()) + " ms");
    }
    clock_->sleepFor(kGidPoll);
  }
  return {};
}

}  // namespace railhead::attach
