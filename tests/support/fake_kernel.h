// One stateful model of the kernel parts Railhead touches: SR-IOV functions and their drivers,
// links, network namespaces, RDMA devices. Seen through three seams at once: os::Filesystem (sysfs
// and any other file), netlink::NetlinkOpener and os::NetnsOpener. Semantics follow Linux 7 with
// igb and mlx5:
//  - sriov_numvfs: EBUSY for another non-zero count, ERANGE above totalvfs; 0 removes VFs wherever
//  they are
//  - an administrative VF MAC reaches the VF's netdev when its driver is bound again
//  - a link must be down to be renamed or re-addressed; moving it flushes addresses and takes
//  soft-RoCE away
//  - a route needs its link up and its gateway on one of the link's subnets; it goes when the link
//  goes down or away
//  - a namespace that dies returns hardware links under the name they had there, or devN on a clash
//  - exclusive RDMA devices of a dead namespace return to the host; a soft-RoCE device is made on
//  the host then, whichever namespace its netdev is in
// Faults: every operation that changes something counts. failAt(n) makes the n-th (from 1) fail
// once with an errno; crashAt(n) makes it and all later ones fail, as if the process had been
// killed just before it: drop the objects under test, call revive() and start new ones.
// Thread-safe.
#pragma once

#include "src/netlink/client.h"
#include "src/os/host_paths.h"
#include "src/os/netns.h"
#include "tests/support/memory_filesystem.h"

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace railhead::testing_support {

struct FakePfSpec {
  std::string pci;     // "0000:01:00.0"
  std::string netdev;  // "enp1s0f0np0"
  std::string mac;
  std::uint16_t vendor = 0x8086;
  std::uint16_t device = 0x10c9;
  std::uint16_t vfDevice = 0x10ca;
  std::string driver = "igb";
  std::string vfDriver = "igbvf";  // empty: its module is not loaded
  int totalVfs = 7;
  int vfBus = 0;             // bus of the VFs; 0: the PF's own bus, from device 0x10 on
  std::string physPortName;  // empty: the driver has none
  std::string physSwitchId;
  bool rdma = false;  // hardware RDMA device on the PF and on each VF (mlx5)
  bool vfGuidNeedsAdminMac =
      false;  // mlx5: node GUID zero until an admin MAC is set and the driver rebound
  int numaNode = -1;
  bool spoofCheckSupported = true;
  bool trustSupported = true;
};

struct FakeLink {
  int index = 0;
  std::string name;
  Mac mac;
  int mtu = 1500;
  bool up = false;
  bool carrier = true;
  std::string kind;
  std::string pci;  // parent device
  std::vector<IpPrefix> addresses;
  bool strictArp = false;
  std::string alias;
};

struct FakeRdma {
  std::uint32_t index = 0;
  std::string name;
  Guid guid;
  std::string pci;   // empty for soft-RoCE
  int softLink = 0;  // link index under a soft-RoCE device
  std::uint64_t netns = 0;

  static constexpr int kBeingRemoved = -1;
  bool isBeingRemoved() const { return softLink == kBeingRemoved; }
};

class FakeKernel final : public netlink::NetlinkOpener, public os::NetnsOpener {
 public:
  explicit FakeKernel(os::HostPaths paths = {});
  ~FakeKernel() override;

  os::Filesystem& files() { return files_; }
  MemoryFilesystem& memory() { return files_; }
  const os::HostPaths& paths() const { return paths_; }

  // Set-up and outside events; never counted, never failing by injection.
  void addPf(const FakePfSpec& spec);
  void addNetns(const std::string& name);  // appears as <netnsDirectory>/<name>, with lo
  std::string netnsPath(const std::string& name) const {
    return paths_.netnsDirectory + "/" + name;
  }
  void killNetns(const std::string& name);  // the last holder went away
  void unplugPf(const std::string& pci);    // with its VFs; addPf() puts another in its place
  void setCarrier(const std::string& netdev, bool carrier);
  void setRdmaMode(netlink::RdmaNetnsMode mode);
  void disableRdma();  // openRdma answers kUnsupported
  // VF drivers bind but no netdev appears; `false` lets the missing ones appear.
  void failVfDriver(bool fails);
  // Soft-RoCE devices whose netdev moved away stay, without it, until they are let go; who removes
  // one of them by hand in that time gets EDEADLK, where Linux 7.3 may lock up.
  void holdRemovals(bool hold);
  void withholdGids(bool withhold);  // addresses no longer reach the RDMA devices' GID tables
  // What the PF's driver counts for one of its VFs; before the first call it counts nothing.
  void setVfTraffic(const std::string& pfNetdev, const netlink::VfTraffic& traffic);
  void addHostLink(const std::string& name, const std::string& kind);
  void renameHostLink(const std::string& name, const std::string& to);  // as udev does
  // From now on sysfs stays as it is, whatever happens: making it anew after every change is most
  // of what this kernel costs. For a benchmark of what only looks at netlink.
  void freezeSysfs();

  // A change that something outside makes (a plugin that was executed): counted, and failing by
  // injection as every other.
  Result<void> act(const std::string& what);
  // A software link in the namespace at `netnsPath`, up, with these addresses; ENOENT without it.
  Result<void> addPodLink(const std::string& netnsPath, const std::string& name,
                          const std::string& kind, std::vector<IpPrefix> addresses = {});
  void removePodLink(const std::string& netnsPath, const std::string& name);

  // Faults.
  void failAt(int operation, int errnoValue = 5);
  void crashAt(int operation);
  void revive();                         // clears every fault and the operation count
  int operations() const;                // changing operations asked for since revive()
  std::vector<std::string> log() const;  // one line for each that was carried out

  // Runs `what` once, from the reader's thread and before it reads, at the n-th (from 1) listing of
  // the host's links from now on: what another process does in that moment.
  void atHostListing(int listing, std::function<void()> what);

  // Looking in. `netns` empty: the host.
  std::vector<FakeLink> links(const std::string& netns = "") const;
  std::optional<FakeLink> link(const std::string& name, const std::string& netns = "") const;
  std::optional<FakeLink> linkOf(const std::string& pci) const;  // wherever it is
  std::string netnsOf(const std::string& pci) const;  // name of the namespace; "" for the host
  std::vector<FakeRdma> rdmaDevices() const;
  std::vector<netlink::Route> routes(const std::string& netns) const;
  std::vector<netlink::Rule> rules(const std::string& netns) const;
  netlink::VfSettings vfSettings(const std::string& pfNetdev, int vf) const;
  // Everything that must be equal before and after an undone request, as text to compare.
  std::string snapshot() const;

  Result<std::unique_ptr<netlink::LinkClient>> openLinks(const os::Netns* netns) override;
  Result<std::unique_ptr<netlink::RdmaClient>> openRdma(const os::Netns* netns) override;
  Result<os::Netns> open(const std::string& path) override;
  Result<os::Netns> current() override;
  Result<std::unique_ptr<os::Filesystem>> sysfs(const os::Netns& netns) override;

 private:
  friend class FakeLinks;
  friend class FakeRdmaLinks;
  struct Function {
    std::string pci;
    std::string pfPci;  // empty on a PF
    int vfIndex = -1;
    std::string driver;  // bound now
    int linkIndex = 0;   // 0: no netdev
    std::uint32_t rdmaIndex = 0;
  };
  struct Pf {
    FakePfSpec spec;
    int numVfs = 0;
    bool autoprobe = true;
    std::map<int, netlink::VfSettings> vfs;
    std::map<int, netlink::VfTraffic> traffic;  // by VF index
  };
  struct Space {
    std::string name;
    std::map<int, FakeLink> links;
    std::vector<netlink::Route> routes;
    std::vector<netlink::Rule> rules;
  };
  static constexpr std::uint64_t kHost = 1;

  // All below: with mutex_ held.
  std::function<void()> dueAtListing();          // empty: nothing
  Result<void> change(const std::string& what);  // counts, injects, logs
  Result<void> writeNumVfs(const std::string& pfPci, std::string_view data);
  Result<void> writeDriversProbe(std::string_view address);
  Result<void> writeBind(const std::string& driver, std::string_view address, bool bind);
  bool mayProbe(const Function& function) const;
  void bindDriver(Function& function);
  void makeNetdev(Function& function);
  void unbindDriver(Function& function);
  void removeVfs(Pf& pf);
  void removeLink(int index);
  void removeSoftRoceOn(int linkIndex);
  static void removeRoutesOf(Space& space, int linkIndex);
  FakeLink* findLink(int index, std::uint64_t* space = nullptr);
  std::string freeName(const Space& space, const std::string& wanted) const;
  void moveLink(int index, std::uint64_t from, std::uint64_t to, const std::string& name);
  void render();  // sysfs from the state
  void renderFunction(const Function& function);
  void renderPf(const Pf& pf, const Function& function);
  void renderRdma(const FakeRdma& device);
  void renderInPods(const FakeRdma& device);
  const FakeLink* linkUnder(const FakeRdma& device) const;
  static std::string podSysfs(std::uint64_t space);  // where the tree that it sees is kept
  void renderGids(const std::string& port, const FakeLink& link);
  std::string devicePath(const std::string& pci) const;

  os::HostPaths paths_;
  mutable std::recursive_mutex mutex_;
  MemoryFilesystem files_;
  std::map<std::string, Function> functions_;
  std::map<std::string, Pf> pfs_;
  std::map<std::uint64_t, Space> spaces_;
  std::map<std::uint32_t, FakeRdma> rdma_;
  netlink::RdmaNetnsMode mode_ = netlink::RdmaNetnsMode::kShared;
  bool rdmaEnabled_ = true;
  bool vfDriverFails_ = false;
  bool gidsWithheld_ = false;
  bool removalsHeld_ = false;
  bool sysfsFrozen_ = false;
  int nextLink_ = 2;
  std::uint32_t nextRdma_ = 1;
  std::uint64_t nextSpace_ = 2;
  int operations_ = 0;
  int failAt_ = 0;
  int failErrno_ = 0;
  int crashAt_ = 0;
  std::vector<std::string> log_;
  int listingsLeft_ = 0;  // until atListing_
  std::function<void()> atListing_;
};

}  // namespace railhead::testing_support
