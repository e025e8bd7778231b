// The sysfs face of FakeKernel: the tree is made anew from the state after every change.
#include "src/base/text.h"
#include "tests/support/fake_kernel.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>

namespace railhead::testing_support {
namespace {

std::string hex(unsigned value) {
  char text[16];
  std::snprintf(text, sizeof text, "0x%04x\n", value);
  return text;
}

std::string number(long long value) { return std::to_string(value) + "\n"; }

// "0000:0000:0000:0000:0000:ffff:0a64:0001": an IPv6 address, or an IPv4 one mapped into it.
std::string gidText(const IpAddress& address) {
  std::array<std::uint8_t, 16> gid = address.bytes;
  if (!address.v6) {
    gid.fill(0);
    gid[10] = gid[11] = 0xff;
    std::copy_n(address.bytes.begin(), 4, gid.begin() + 12);
  }
  std::string text;
  for (std::size_t i = 0; i < gid.size(); i += 2) {
    char group[8];
    std::snprintf(group, sizeof group, "%s%02x%02x", i == 0 ? "" : ":", gid[i], gid[i + 1]);
    text += group;
  }
  return text + "\n";
}

// A part of a fake's files as a file system of its own; to be read only.
class Part final : public os::Filesystem {
 public:
  Part(os::Filesystem& whole, std::string below) : whole_(whole), below_(std::move(below)) {}
  Result<std::string> readFile(const std::string& path, std::size_t maxBytes) override {
    return whole_.readFile(below_ + path, maxBytes);
  }
  Result<std::string> readLink(const std::string& path) override {
    return whole_.readLink(below_ + path);
  }
  Result<std::vector<std::string>> listDirectory(const std::string& path) override {
    return whole_.listDirectory(below_ + path);
  }
  Result<os::FileStatus> status(const std::string& path) override {
    return whole_.status(below_ + path);
  }
  Result<void> writeFile(const std::string& path, std::string_view) override { return no(path); }
  Result<void> replaceFile(const std::string& path, std::string_view, mode_t) override {
    return no(path);
  }
  Result<void> makeDirectories(const std::string& path, mode_t) override { return no(path); }
  Result<void> remove(const std::string& path) override { return no(path); }
  Result<void> rename(const std::string& from, const std::string&) override { return no(from); }
  Result<void> makeSymlink(const std::string&, const std::string& path) override {
    return no(path);
  }

 private:
  static Error no(const std::string& path) { return Error::fromErrno(EROFS, "write " + path); }
  os::Filesystem& whole_;
  const std::string below_;
};

constexpr const char* kPodTrees = "/sysfs-of-pods";

}  // namespace

std::string FakeKernel::podSysfs(std::uint64_t space) {
  return std::string(kPodTrees) + "/" + std::to_string(space);
}

Result<std::unique_ptr<os::Filesystem>> FakeKernel::sysfs(const os::Netns& netns) {
  const std::lock_guard lock(mutex_);
  if (!spaces_.contains(netns.id.inode)) return Error::fromErrno(ENOENT, "make a mount of sysfs");
  return std::unique_ptr<os::Filesystem>(std::make_unique<Part>(files_, podSysfs(netns.id.inode)));
}

std::string FakeKernel::devicePath(const std::string& pci) const {
  return paths_.sys + "/devices/pci" + pci.substr(0, pci.find(':')) + ":00/" + pci;
}

void FakeKernel::freezeSysfs() {
  const std::lock_guard lock(mutex_);
  sysfsFrozen_ = true;
}

void FakeKernel::render() {
  if (sysfsFrozen_) return;
  const auto whole = files_.hold();
  for (const char* tree :
       {"/devices", "/bus/pci", "/class/net", "/class/infiniband", "/class/infiniband_verbs"}) {
    files_.erase(paths_.sys + tree);
  }
  files_.erase(kPodTrees);
  files_.dropHooks(paths_.sys);
  files_.putDirectory(paths_.sys + "/class/net");
  files_.putDirectory(paths_.sys + "/bus/pci/devices");
  const std::string probe = paths_.sys + "/bus/pci/drivers_probe";
  files_.put(probe, "");
  files_.onWrite(probe, [this](std::string_view data) { return writeDriversProbe(data); });
  for (const auto& [pci, pf] : pfs_) {
    for (const std::string& driver : {pf.spec.driver, pf.spec.vfDriver}) {
      if (driver.empty()) continue;
      for (const bool bind : {true, false}) {
        const std::string path =
            paths_.sys + "/bus/pci/drivers/" + driver + (bind ? "/bind" : "/unbind");
        files_.put(path, "");
        files_.onWrite(path, [this, driver, bind](std::string_view data) {
          return writeBind(driver, data, bind);
        });
      }
    }
  }
  for (const auto& [pci, function] : functions_) renderFunction(function);
  for (const auto& [index, device] : rdma_) {
    renderRdma(device);
    renderInPods(device);
  }
}

const FakeLink* FakeKernel::linkUnder(const FakeRdma& device) const {
  for (const auto& [id, space] : spaces_) {
    for (const auto& [index, candidate] : space.links) {
      if (index == device.softLink || (!device.pci.empty() && candidate.pci == device.pci))
        return &candidate;
    }
  }
  return nullptr;
}

// What a process in a pod sees of it.
void FakeKernel::renderInPods(const FakeRdma& device) {
  const FakeLink* link = linkUnder(device);
  for (const auto& [id, space] : spaces_) {
    if (id == kHost || (mode_ == netlink::RdmaNetnsMode::kExclusive && device.netns != id))
      continue;
    const std::string port = podSysfs(id) + "/class/infiniband/" + device.name + "/ports/1";
    files_.putDirectory(port + "/gids");
    if (link != nullptr && !gidsWithheld_) renderGids(port, *link);
  }
}

void FakeKernel::renderFunction(const Function& function) {
  const bool isVf = function.vfIndex >= 0;
  const Pf& pf = pfs_.at(isVf ? function.pfPci : function.pci);
  const std::string path = devicePath(function.pci);
  files_.putLink(paths_.pciDevice(function.pci), path);
  files_.put(path + "/vendor", hex(pf.spec.vendor));
  files_.put(path + "/device", hex(isVf ? pf.spec.vfDevice : pf.spec.device));
  files_.put(path + "/class", "0x020000\n");
  files_.put(path + "/numa_node", number(pf.spec.numaNode));
  files_.put(path + "/driver_override", "(null)\n");
  if (!function.driver.empty()) {
    files_.putLink(path + "/driver", paths_.sys + "/bus/pci/drivers/" + function.driver);
    files_.putLink(paths_.sys + "/bus/pci/drivers/" + function.driver + "/" + function.pci, path);
  }
  if (isVf) files_.putLink(path + "/physfn", devicePath(function.pfPci));
  if (!isVf) renderPf(pf, function);
  const auto link = spaces_[kHost].links.find(function.linkIndex);
  if (link == spaces_[kHost].links.end()) return;
  const FakeLink& netdev = link->second;
  const std::string net = path + "/net/" + netdev.name;
  files_.putLink(paths_.sys + "/class/net/" + netdev.name, net);
  files_.putLink(net + "/device", path);
  files_.put(net + "/type", "1\n");
  files_.put(net + "/address", netdev.mac.toString() + "\n");
  files_.put(net + "/mtu", number(netdev.mtu));
  files_.put(net + "/ifindex", number(netdev.index));
  files_.put(net + "/flags", netdev.up ? "0x1003\n" : "0x1002\n");
  files_.put(net + "/operstate", netdev.up && netdev.carrier ? "up\n" : "down\n");
  if (netdev.up) files_.put(net + "/carrier", netdev.carrier ? "1\n" : "0\n");
  if (netdev.up) files_.put(net + "/speed", number(netdev.carrier ? 1000 : -1));
  if (!isVf && !pf.spec.physPortName.empty())
    files_.put(net + "/phys_port_name", pf.spec.physPortName + "\n");
  if (!isVf && !pf.spec.physSwitchId.empty())
    files_.put(net + "/phys_switch_id", pf.spec.physSwitchId + "\n");
}

void FakeKernel::renderPf(const Pf& pf, const Function& function) {
  const std::string path = devicePath(function.pci);
  files_.put(path + "/sriov_totalvfs", number(pf.spec.totalVfs));
  files_.put(path + "/sriov_numvfs", number(pf.numVfs));
  files_.put(path + "/sriov_drivers_autoprobe", number(pf.autoprobe ? 1 : 0));
  files_.put(path + "/current_link_width", "4\n");
  files_.put(path + "/max_link_width", "4\n");
  files_.put(path + "/current_link_speed", "32.0 GT/s PCIe\n");
  files_.put(path + "/max_link_speed", "32.0 GT/s PCIe\n");
  const std::string pci = function.pci;
  files_.onWrite(path + "/sriov_numvfs",
                 [this, pci](std::string_view data) { return writeNumVfs(pci, data); });
  files_.onWrite(path + "/sriov_drivers_autoprobe",
                 [this, pci](std::string_view data) -> Result<void> {
                   const std::lock_guard lock(mutex_);
                   pfs_.at(pci).autoprobe = trim(data) == "1";
                   render();
                   return {};
                 });
  for (const auto& [address, other] : functions_) {
    if (other.pfPci == function.pci) {
      files_.putLink(path + "/virtfn" + std::to_string(other.vfIndex), devicePath(address));
    }
  }
}

void FakeKernel::renderRdma(const FakeRdma& device) {
  const bool visible = mode_ == netlink::RdmaNetnsMode::kShared || device.netns == kHost;
  if (!visible) return;
  const std::string base =
      device.pci.empty() ? paths_.sys + "/devices/virtual" : devicePath(device.pci);
  const std::string path = base + "/infiniband/" + device.name;
  const std::string uverbs = "uverbs" + std::to_string(device.index - 1);
  files_.putLink(paths_.sys + "/class/infiniband/" + device.name, path);
  if (!device.pci.empty()) files_.putLink(path + "/device", base);
  files_.put(path + "/node_guid", device.guid.toString() + "\n");
  const FakeLink* link = linkUnder(device);
  const bool active = link != nullptr && link->up && link->carrier;
  files_.put(path + "/ports/1/state", active ? "4: ACTIVE\n" : "1: DOWN\n");
  files_.put(path + "/ports/1/link_layer", "Ethernet\n");
  files_.putDirectory(path + "/ports/1/gids");
  if (link != nullptr && !gidsWithheld_) renderGids(path + "/ports/1", *link);
  files_.putDirectory(base + "/infiniband_verbs/" + uverbs);
  files_.put(base + "/infiniband_verbs/" + uverbs + "/ibdev", device.name + "\n");
  files_.putLink(paths_.sys + "/class/infiniband_verbs/" + uverbs,
                 base + "/infiniband_verbs/" + uverbs);
}

// Each address appears twice, as RoCE v1 and as v2.
void FakeKernel::renderGids(const std::string& port, const FakeLink& link) {
  int entry = 0;
  for (const IpPrefix& address : link.addresses) {
    for (const char* type : {"IB/RoCE v1\n", "RoCE v2\n"}) {
      files_.put(port + "/gids/" + std::to_string(entry), gidText(address.address));
      files_.put(port + "/gid_attrs/types/" + std::to_string(entry), type);
      ++entry;
    }
  }
}

}  // namespace railhead::testing_support
