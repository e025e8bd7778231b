#include "lab/cni_cost/driver_up.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <utility>

namespace railhead::lab {
namespace {

namespace fs = std::filesystem;

// By PF, the netdev of its last VF.
std::map<std::string, std::string> lastVfs() {
  std::map<std::string, std::pair<std::string, std::string>> last;  // the VF's address, its netdev
  std::error_code none;
  for (const auto& device : fs::directory_iterator("/sys/bus/pci/devices", none)) {
    const std::string pf = fs::read_symlink(device.path() / "physfn", none).filename();
    const fs::directory_iterator netdev(device.path() / "net", none);
    if (pf.empty() || none || netdev == fs::directory_iterator()) continue;
    auto& kept = last[pf];
    kept = std::max(kept, {device.path().filename(), netdev->path().filename()});
  }
  std::map<std::string, std::string> names;
  for (const auto& [pf, vf] : last) names[pf] = vf.second;
  return names;
}

std::string softRoceOf(const std::string& netdev) { return "cost-" + netdev; }

Result<std::uint32_t> deviceOf(netlink::RdmaClient& rdma, const std::string& netdev) {
  RAILHEAD_TRY_ASSIGN(const auto devices, rdma.devices());
  for (const auto& device : devices) {
    if (device.name == softRoceOf(netdev)) return device.index;
  }
  return Error(ErrorCode::kNotFound, "no RDMA device " + softRoceOf(netdev));
}

}  // namespace

Result<DriverUp> DriverUp::open(const std::string& netnsPath) {
  DriverUp out;
  os::SystemNetnsOpener namespaces;
  RAILHEAD_TRY_ASSIGN(out.host_, namespaces.current());
  RAILHEAD_TRY_ASSIGN(out.pod_, namespaces.open(netnsPath));
  const auto kernel = netlink::openKernel();
  RAILHEAD_TRY_ASSIGN(out.onHost_, kernel->openLinks(nullptr));
  RAILHEAD_TRY_ASSIGN(out.inPod_, kernel->openLinks(&out.pod_));
  RAILHEAD_TRY_ASSIGN(out.rdmaOnHost_, kernel->openRdma(nullptr));
  RAILHEAD_TRY_ASSIGN(out.rdmaInPod_, kernel->openRdma(&out.pod_));
  RAILHEAD_TRY_ASSIGN(const auto mode, out.rdmaOnHost_->netnsMode());
  out.exclusive_ = mode == netlink::RdmaNetnsMode::kExclusive;
  for (const auto& [pf, name] : lastVfs()) {
    RAILHEAD_TRY_ASSIGN(const auto link, out.onHost_->link(name));
    out.vfs_.push_back({link.index, name});
  }
  if (out.vfs_.size() != 2)
    return Error(ErrorCode::kEnvironment,
                 "the node has " + std::to_string(out.vfs_.size()) + " PFs with VFs; it wants two");
  return out;
}

Result<void> DriverUp::moveInAndUp() {
  for (Vf& vf : vfs_) {
    RAILHEAD_TRY(onHost_->move(vf.index, pod_, vf.name));
    RAILHEAD_TRY_ASSIGN(const auto there, inPod_->link(vf.name));
    vf.index = there.index;
    RAILHEAD_TRY(inPod_->change(vf.index, {.up = true}));
  }
  return {};
}

Result<void> DriverUp::back() {
  for (Vf& vf : vfs_) {
    RAILHEAD_TRY(inPod_->change(vf.index, {.up = false}));
    RAILHEAD_TRY(inPod_->move(vf.index, host_, vf.name));
    RAILHEAD_TRY_ASSIGN(const auto here, onHost_->link(vf.name));
    vf.index = here.index;
  }
  return {};
}

// A soft-RoCE device begins on the host, whoever asks for it.
Result<void> DriverUp::addSoftRoce() {
  for (const Vf& vf : vfs_) {
    RAILHEAD_TRY(rdmaInPod_->addSoftRoce(softRoceOf(vf.name), vf.name));
    if (!exclusive_) continue;
    RAILHEAD_TRY_ASSIGN(const auto index, deviceOf(*rdmaOnHost_, vf.name));
    RAILHEAD_TRY(rdmaOnHost_->move(index, pod_));
  }
  return {};
}

// The second one too when the first one fails.
Result<void> DriverUp::removeSoftRoce() {
  Result<void> out;
  for (const Vf& vf : vfs_) {
    const auto index = deviceOf(*rdmaInPod_, vf.name);
    const auto removed = index.has_value() ? rdmaInPod_->removeSoftRoce(*index) : index.error();
    if (out.has_value()) out = removed;
  }
  return out;
}

}  // namespace railhead::lab
