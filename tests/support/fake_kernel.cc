#include "tests/support/fake_kernel.h"

#include "src/base/pci_address.h"
#include "src/base/random.h"
#include "src/base/text.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include <fcntl.h>

namespace railhead::testing_support {
namespace {

// VF `index` of a PF: consecutive routing IDs from device 0x10 on, as SR-IOV offsets give.
std::string vfAddress(const FakePfSpec& spec, int index) {
  PciAddress address = *PciAddress::parse(spec.pci);
  if (spec.vfBus != 0) address.bus = static_cast<std::uint8_t>(spec.vfBus);
  const int id = 0x10 * 8 + address.function + index * 2;
  address.device = static_cast<std::uint8_t>(id / 8);
  address.function = static_cast<std::uint8_t>(id % 8);
  return address.toString();
}

// What a VF gets without an administrative MAC: random in the kernel, fixed here.
Mac bornMac(const std::string& pci) {
  const std::vector<std::uint8_t> bytes(pci.begin(), pci.end());
  const std::uint64_t hash = stableHash(bytes);
  Mac mac;
  for (std::size_t i = 1; i < 6; ++i) mac.bytes[i] = static_cast<std::uint8_t>(hash >> (8 * i));
  mac.bytes[0] = 0x06;
  return mac;
}

}  // namespace

FakeKernel::FakeKernel(os::HostPaths paths)
    : paths_(std::move(paths)), files_([this](const std::string& what) {
        const std::lock_guard lock(mutex_);
        return change(what);
      }) {
  spaces_[kHost] = {"", {}, {}};
  spaces_[kHost].links[1] = FakeLink{1, "lo", {}, 65536, true, true, "", "", {}};
  files_.putDirectory(paths_.netnsDirectory);
  files_.putDirectory(paths_.sys + "/class/net");
}

FakeKernel::~FakeKernel() = default;

void FakeKernel::atHostListing(int listing, std::function<void()> what) {
  const std::lock_guard lock(mutex_);
  listingsLeft_ = listing;
  atListing_ = std::move(what);
}

std::function<void()> FakeKernel::dueAtListing() {
  const std::lock_guard lock(mutex_);
  if (listingsLeft_ == 0 || --listingsLeft_ > 0) return {};
  return std::exchange(atListing_, {});
}

Result<void> FakeKernel::change(const std::string& what) {
  ++operations_;
  if (crashAt_ != 0 && operations_ >= crashAt_)
    return Error(ErrorCode::kInternal, what + ": killed (crashAt)");
  if (operations_ == failAt_) return Error::fromErrno(failErrno_, what);
  log_.push_back(what);
  return {};
}

void FakeKernel::failAt(int operation, int errnoValue) {
  const std::lock_guard lock(mutex_);
  failAt_ = operation;
  failErrno_ = errnoValue;
}

void FakeKernel::crashAt(int operation) {
  const std::lock_guard lock(mutex_);
  crashAt_ = operation;
}

void FakeKernel::revive() {
  const std::lock_guard lock(mutex_);
  operations_ = failAt_ = failErrno_ = crashAt_ = 0;
  log_.clear();
}

int FakeKernel::operations() const {
  const std::lock_guard lock(mutex_);
  return operations_;
}

std::vector<std::string> FakeKernel::log() const {
  const std::lock_guard lock(mutex_);
  return log_;
}

void FakeKernel::addPf(const FakePfSpec& spec) {
  const std::lock_guard lock(mutex_);
  pfs_[spec.pci] = Pf{spec, 0, true, {}};
  Function& function = functions_[spec.pci] = Function{spec.pci, "", -1, "", 0, 0};
  bindDriver(function);
  render();
}

void FakeKernel::addHostLink(const std::string& name, const std::string& kind) {
  const std::lock_guard lock(mutex_);
  const int index = nextLink_++;
  spaces_[kHost].links[index] =
      FakeLink{index, name, bornMac(name), 1500, true, true, kind, "", {}};
  render();
}

void FakeKernel::renameHostLink(const std::string& name, const std::string& to) {
  const std::lock_guard lock(mutex_);
  for (auto& [index, link] : spaces_[kHost].links) {
    if (link.name == name) link.name = to;
  }
  render();
}

void FakeKernel::addNetns(const std::string& name) {
  const std::lock_guard lock(mutex_);
  const std::uint64_t id = nextSpace_++;
  spaces_[id] = {name, {}, {}};
  const int index = nextLink_++;
  spaces_[id].links[index] = FakeLink{index, "lo", {}, 65536, true, true, "", "", {}};
  files_.put(netnsPath(name), "");
}

Result<void> FakeKernel::act(const std::string& what) {
  const std::lock_guard lock(mutex_);
  return change(what);
}

Result<void> FakeKernel::addPodLink(const std::string& path, const std::string& name,
                                    const std::string& kind, std::vector<IpPrefix> addresses) {
  const std::lock_guard lock(mutex_);
  for (auto& [id, space] : spaces_) {
    if (id == kHost || netnsPath(space.name) != path) continue;
    if (freeName(space, name) != name) return Error::fromErrno(EEXIST, "add link " + name);
    const int index = nextLink_++;
    space.links[index] =
        FakeLink{index, name, bornMac(name), 1500, true, true, kind, "", std::move(addresses)};
    return {};
  }
  return Error::fromErrno(ENOENT, "open network namespace " + path);
}

void FakeKernel::removePodLink(const std::string& path, const std::string& name) {
  const std::lock_guard lock(mutex_);
  for (auto& [id, space] : spaces_) {
    if (id == kHost || netnsPath(space.name) != path) continue;
    for (const auto& [index, link] : space.links) {
      if (link.name != name) continue;
      removeLink(index);
      return;
    }
  }
}

void FakeKernel::killNetns(const std::string& name) {
  const std::lock_guard lock(mutex_);
  for (auto it = spaces_.begin(); it != spaces_.end(); ++it) {
    if (it->second.name != name || it->first == kHost) continue;
    const std::uint64_t id = it->first;
    std::vector<int> hardware;
    for (const auto& [index, link] : it->second.links) {
      if (!link.pci.empty()) hardware.push_back(index);
    }
    for (const int index : hardware) {
      const std::string wanted = spaces_[id].links[index].name;
      moveLink(index, id, kHost, freeName(spaces_[kHost], wanted));
    }
    for (auto& [index, device] : rdma_) {
      if (device.netns == id) device.netns = kHost;
    }
    spaces_.erase(id);
    files_.erase(netnsPath(name));
    render();
    return;
  }
}

void FakeKernel::setCarrier(const std::string& netdev, bool carrier) {
  const std::lock_guard lock(mutex_);
  for (auto& [id, space] : spaces_) {
    for (auto& [index, link] : space.links) {
      if (link.name == netdev) link.carrier = carrier;
    }
  }
  render();
}

void FakeKernel::setVfTraffic(const std::string& pfNetdev, const netlink::VfTraffic& traffic) {
  const std::lock_guard lock(mutex_);
  for (auto& [pci, pf] : pfs_) {
    if (pf.spec.netdev == pfNetdev) pf.traffic[traffic.vf] = traffic;
  }
}

void FakeKernel::setRdmaMode(netlink::RdmaNetnsMode mode) {
  const std::lock_guard lock(mutex_);
  mode_ = mode;
}

void FakeKernel::disableRdma() {
  const std::lock_guard lock(mutex_);
  rdmaEnabled_ = false;
}

void FakeKernel::failVfDriver(bool fails) {
  const std::lock_guard lock(mutex_);
  vfDriverFails_ = fails;
  if (fails) return;
  for (auto& [pci, function] : functions_) {
    if (!function.driver.empty() && function.linkIndex == 0) makeNetdev(function);
  }
  render();
}

void FakeKernel::withholdGids(bool withhold) {
  const std::lock_guard lock(mutex_);
  gidsWithheld_ = withhold;
  render();
}

std::string FakeKernel::freeName(const Space& space, const std::string& wanted) const {
  const auto taken = [&](const std::string& name) {
    return std::any_of(space.links.begin(), space.links.end(),
                       [&](const auto& entry) { return entry.second.name == name; });
  };
  if (!taken(wanted)) return wanted;
  int number = 0;
  while (taken("dev" + std::to_string(number))) ++number;
  return "dev" + std::to_string(number);
}

FakeLink* FakeKernel::findLink(int index, std::uint64_t* space) {
  for (auto& [id, candidate] : spaces_) {
    const auto found = candidate.links.find(index);
    if (found == candidate.links.end()) continue;
    if (space != nullptr) *space = id;
    return &found->second;
  }
  return nullptr;
}

void FakeKernel::holdRemovals(bool hold) {
  const std::lock_guard lock(mutex_);
  removalsHeld_ = hold;
  if (hold) return;
  std::erase_if(rdma_, [](const auto& one) { return one.second.isBeingRemoved(); });
  render();
}

void FakeKernel::removeSoftRoceOn(int linkIndex) {
  if (removalsHeld_) {
    for (auto& [index, device] : rdma_) {
      if (device.softLink == linkIndex) device.softLink = FakeRdma::kBeingRemoved;
    }
    return;
  }
  std::erase_if(rdma_, [&](const auto& entry) { return entry.second.softLink == linkIndex; });
}

void FakeKernel::removeRoutesOf(Space& space, int linkIndex) {
  std::erase_if(space.routes, [&](const auto& route) { return route.linkIndex == linkIndex; });
}

void FakeKernel::removeLink(int index) {
  removeSoftRoceOn(index);
  for (auto& [id, space] : spaces_) {
    space.links.erase(index);
    removeRoutesOf(space, index);
  }
}

void FakeKernel::moveLink(int index, std::uint64_t from, std::uint64_t to,
                          const std::string& name) {
  removeSoftRoceOn(index);
  removeRoutesOf(spaces_[from], index);
  auto node = spaces_[from].links.extract(index);
  FakeLink& link = node.mapped();
  link.name = name;
  link.up = false;
  link.strictArp = false;
  link.addresses.clear();
  spaces_[to].links.insert(std::move(node));
}

// With sriov_drivers_autoprobe off no driver may take a VF, nor when it is asked to. An absent VF
// driver is one whose module is not loaded.
bool FakeKernel::mayProbe(const Function& function) const {
  if (function.vfIndex < 0) return true;
  const Pf& pf = pfs_.at(function.pfPci);
  return pf.autoprobe && !pf.spec.vfDriver.empty();
}

void FakeKernel::bindDriver(Function& function) {
  const bool isVf = function.vfIndex >= 0;
  Pf& pf = pfs_.at(isVf ? function.pfPci : function.pci);
  function.driver = isVf ? pf.spec.vfDriver : pf.spec.driver;
  if (!isVf || !vfDriverFails_) makeNetdev(function);
}

void FakeKernel::makeNetdev(Function& function) {
  const bool isVf = function.vfIndex >= 0;
  Pf& pf = pfs_.at(isVf ? function.pfPci : function.pci);
  FakeLink link;
  link.index = nextLink_++;
  link.pci = function.pci;
  link.mac = isVf ? bornMac(function.pci) : *Mac::parse(pf.spec.mac);
  bool guidKnown = true;
  if (isVf) {
    const Mac& admin = pf.vfs[function.vfIndex].mac;
    if (!admin.isZero()) link.mac = admin;
    guidKnown = !pf.spec.vfGuidNeedsAdminMac || !admin.isZero();
  }
  const std::string wanted =
      isVf ? pf.spec.netdev + "v" + std::to_string(function.vfIndex) : pf.spec.netdev;
  link.name = freeName(spaces_[kHost], wanted);
  function.linkIndex = link.index;
  if (pf.spec.rdma) {
    const std::uint32_t index = nextRdma_++;
    rdma_[index] = {index,
                    "roce" + std::to_string(index),
                    guidKnown ? Guid::fromMac(link.mac) : Guid{},
                    function.pci,
                    0,
                    kHost};
    function.rdmaIndex = index;
  }
  spaces_[kHost].links[link.index] = std::move(link);
}

void FakeKernel::unbindDriver(Function& function) {
  if (function.linkIndex != 0) removeLink(function.linkIndex);
  rdma_.erase(function.rdmaIndex);
  function.linkIndex = 0;
  function.rdmaIndex = 0;
  function.driver.clear();
}

void FakeKernel::removeVfs(Pf& pf) {
  for (int i = 0; i < pf.numVfs; ++i) {
    unbindDriver(functions_.at(vfAddress(pf.spec, i)));
    functions_.erase(vfAddress(pf.spec, i));
  }
  pf.vfs.clear();
  pf.numVfs = 0;
}

void FakeKernel::unplugPf(const std::string& pci) {
  const std::lock_guard lock(mutex_);
  removeVfs(pfs_.at(pci));
  unbindDriver(functions_.at(pci));
  functions_.erase(pci);
  pfs_.erase(pci);
  render();
}

Result<void> FakeKernel::writeNumVfs(const std::string& pfPci, std::string_view data) {
  const std::lock_guard lock(mutex_);
  Pf& pf = pfs_.at(pfPci);
  const auto wanted = parseUnsigned(trim(data));
  if (!wanted) return Error::fromErrno(EINVAL, "sriov_numvfs");
  if (*wanted > static_cast<std::uint64_t>(pf.spec.totalVfs))
    return Error::fromErrno(ERANGE, "sriov_numvfs");
  const int count = static_cast<int>(*wanted);
  if (count == pf.numVfs) return {};
  if (count != 0 && pf.numVfs != 0) return Error::fromErrno(EBUSY, "sriov_numvfs");
  if (count == 0) removeVfs(pf);
  pf.numVfs = count;
  for (int i = 0; i < count; ++i) {
    pf.vfs[i].index = i;
    pf.vfs[i].spoofCheck = pf.spec.spoofCheckSupported;
    const std::string pci = vfAddress(pf.spec, i);
    Function& function = functions_[pci] = Function{pci, pfPci, i, "", 0, 0};
    if (mayProbe(function)) bindDriver(function);
  }
  render();
  return {};
}

Result<void> FakeKernel::writeBind(const std::string& driver, std::string_view address, bool bind) {
  const std::lock_guard lock(mutex_);
  const auto found = functions_.find(std::string(trim(address)));
  if (found == functions_.end()) return Error::fromErrno(ENODEV, "no such device");
  Function& function = found->second;
  if (bind) {
    if (!function.driver.empty()) return Error::fromErrno(EBUSY, "already bound");
    const Pf& pf = pfs_.at(function.vfIndex >= 0 ? function.pfPci : function.pci);
    if (driver != (function.vfIndex >= 0 ? pf.spec.vfDriver : pf.spec.driver))
      return Error::fromErrno(ENODEV, "not its driver");
    if (!mayProbe(function)) return Error::fromErrno(ENODEV, "autoprobe is off");
    bindDriver(function);
  } else {
    if (function.driver != driver) return Error::fromErrno(ENODEV, "not bound to it");
    if (function.vfIndex < 0) removeVfs(pfs_.at(function.pci));  // as igb and mlx5 do
    unbindDriver(function);
  }
  render();
  return {};
}

// As the kernel does: success also when no driver takes the device.
Result<void> FakeKernel::writeDriversProbe(std::string_view address) {
  const std::lock_guard lock(mutex_);
  const auto found = functions_.find(std::string(trim(address)));
  if (found == functions_.end()) return Error::fromErrno(EINVAL, "no such device");
  Function& function = found->second;
  if (function.driver.empty() && mayProbe(function)) bindDriver(function);
  render();
  return {};
}

Result<os::Netns> FakeKernel::open(const std::string& path) {
  const std::lock_guard lock(mutex_);
  for (const auto& [id, space] : spaces_) {
    if (id == kHost || netnsPath(space.name) != path) continue;
    return os::Netns{os::UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC)), {1, id}};
  }
  return Error::fromErrno(ENOENT, "open network namespace " + path);
}

Result<os::Netns> FakeKernel::current() {
  return os::Netns{os::UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC)), {1, kHost}};
}

}  // namespace railhead::testing_support
