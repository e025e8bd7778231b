#include "src/discover/discover.h"

#include "src/base/text.h"
#include "src/discover/attributes.h"

#include <algorithm>
#include <map>
#include <set>

#include <linux/if.h>
#include <linux/if_arp.h>

namespace railhead::discover {
namespace {

constexpr std::uint64_t kNetworkClass = 0x02;
constexpr std::uint64_t kVgaController = 0x0300;
constexpr std::uint64_t kThreeDController = 0x0302;
constexpr std::uint16_t kNvidia = 0x10de;
constexpr std::size_t kMaxRdmaDevices = 256;
constexpr int kUnknownWidth = 255;  // what the kernel shows for a link it cannot read

// "32.0 GT/s PCIe" → 32. "Unknown" → 0.
double gigatransfers(const std::string& text) {
  const auto value = parseDouble(std::string_view(text).substr(0, text.find(' ')));
  return value && *value > 0 && *value < 1000 ? *value : 0;
}

PcieLink readPcie(const Attributes& pci) {
  PcieLink link;
  link.width = pci.integer("current_link_width", 0, kUnknownWidth - 1, 0);
  link.maxWidth = pci.integer("max_link_width", 0, kUnknownWidth - 1, 0);
  link.gigatransfers = gigatransfers(pci.text("current_link_speed"));
  link.maxGigatransfers = gigatransfers(pci.text("max_link_speed"));
  return link;
}

// "4: ACTIVE" → "ACTIVE".
std::string portState(const Attributes& device) {
  const std::string text = device.text("ports/1/state");
  return std::string(trim(std::string_view(text).substr(text.find(':') + 1)));
}

RdmaDevice readRdma(const Attributes& device, const std::string& name) {
  RdmaDevice rdma;
  rdma.name = name;
  auto guid = Guid::parse(device.text("node_guid"));
  if (guid.has_value()) rdma.nodeGuid = *guid;
  rdma.portState = portState(device);
  return rdma;
}

// In switchdev mode the representors of the VFs ("pf0vf3", "c1pf0sf2") stand beside the uplink's
// netdev.
bool isRepresentor(const Attributes& netdev) {
  const std::string port = netdev.text("phys_port_name");
  return port.starts_with("pf") || (port.starts_with('c') && port.find("pf") != std::string::npos);
}

std::string netdevOf(const Attributes& pci) {
  for (const auto& name : pci.entries("net", kMaxVfsPerPf + Attributes::kMaxEntries)) {
    if (!isRepresentor(pci.below("net/" + name))) return name;
  }
  return {};
}

class NodeReader {
 public:
  NodeReader(os::Filesystem& files, const os::HostPaths& paths) : files_(files), paths_(paths) {}

  // Soft-RoCE devices have no PCI device behind them; they name their netdev.
  void readSoftRoce() {
    const Attributes all(files_, paths_.sys + "/class/infiniband");
    for (const auto& name : all.entries("", kMaxRdmaDevices)) {
      const std::string netdev = all.text(name + "/parent");
      if (netdev.empty()) continue;
      RdmaDevice soft = readRdma(all.below(name), name);
      const Attributes verbs(files_, paths_.sys + "/class/infiniband_verbs");
      for (const auto& uverbs : verbs.entries("", kMaxRdmaDevices)) {
        if (verbs.text(uverbs + "/ibdev") == name) soft.uverbs = uverbs;
      }
      softRoce_.emplace(netdev, std::move(soft));
    }
  }

  Attributes pciDevice(const PciAddress& pci) const {
    return {files_, paths_.pciDevice(pci.toString())};
  }

  void readFunction(const Attributes& pci, PciFunction& function) const {
    function.vendor = static_cast<std::uint16_t>(pci.number("vendor").value_or(0));
    function.device = static_cast<std::uint16_t>(pci.number("device").value_or(0));
    function.driver = pci.linkName("driver");
    function.numaNode = pci.integer("numa_node", 0, 4095, -1);
    function.netdev = netdevOf(pci);
    for (const auto& name : pci.entries("infiniband")) {
      RdmaDevice device = readRdma(pci.below("infiniband/" + name), name);
      device.uverbs = uverbsOf(pci, name);
      function.rdma.push_back(std::move(device));
    }
    const auto [first, last] = softRoce_.equal_range(function.netdev);
    for (auto soft = first; soft != last; ++soft) function.rdma.push_back(soft->second);
  }

  // A VF behind the PF's virtfnN; false when the link leads nowhere sensible or to another PF's VF.
  bool readVf(const Attributes& pf, const std::string& link, Vf& vf) {
    const auto index = parseUnsigned(std::string_view(link).substr(kVfLink.size()));
    auto address = PciAddress::parse(pf.linkName(link));
    if (!index || *index >= kMaxVfsPerPf || !address.has_value()) return false;
    if (!vfAddresses_.insert(*address).second) return false;
    vf.index = static_cast<int>(*index);
    vf.pci = *address;
    const Attributes pci = pciDevice(vf.pci);
    readFunction(pci, vf);
    if (!vf.netdev.empty()) {
      const Attributes netdev = pci.below("net/" + vf.netdev);
      vf.mac = netdev.mac("address");
      vf.mtu = netdev.integer("mtu", 0, 0x7fffffff, 0);
    }
    return true;
  }

  void readVfs(const Attributes& pci, Pf& pf) {
    vfAddresses_.insert(pf.pci);
    for (const auto& name : pci.entries("", 2 * kMaxVfsPerPf)) {
      if (!name.starts_with(kVfLink) || vfAddresses_.size() > kMaxPciDevices) continue;
      Vf vf;
      if (readVf(pci, name, vf)) pf.vfs.push_back(std::move(vf));
    }
    std::sort(pf.vfs.begin(), pf.vfs.end(),
              [](const Vf& a, const Vf& b) { return a.index < b.index; });
  }

  Pf readPf(const PciAddress& address) {
    const Attributes pci = pciDevice(address);
    Pf pf;
    pf.pci = address;
    readFunction(pci, pf);
    pf.pcie = readPcie(pci);
    pf.totalVfs = pci.integer("sriov_totalvfs", 0, 65535, 0);
    pf.numVfs = pci.integer("sriov_numvfs", 0, 65535, 0);
    if (const auto value = pci.number("sriov_drivers_autoprobe")) pf.autoprobe = *value != 0;
    if (!pf.netdev.empty()) readPfNetdev(pci.below("net/" + pf.netdev), pf);
    readVfs(pci, pf);
    return pf;
  }

  std::string proc(std::string_view name) const {
    return Attributes(files_, paths_.proc + "/sys/kernel").text(name);
  }

 private:
  static constexpr std::string_view kVfLink = "virtfn";

  static void readPfNetdev(const Attributes& netdev, Pf& pf) {
    pf.mac = netdev.mac("address");
    pf.mtu = netdev.integer("mtu", 0, 0x7fffffff, 0);
    pf.up = (netdev.number("flags").value_or(0) & IFF_UP) != 0;
    pf.carrier = netdev.number("carrier").value_or(0) == 1;
    const int megabits = netdev.integer("speed", 1, 0x7fffffff, 0);  // -1 without a link
    if (megabits > 0) pf.speed = BitRate{megabits * 1e6};
    const int type = netdev.integer("type", 0, 65535, -1);
    pf.linkType = type == ARPHRD_ETHER        ? LinkType::kEthernet
                  : type == ARPHRD_INFINIBAND ? LinkType::kInfiniband
                                              : LinkType::kUnknown;
    pf.physPortName = netdev.text("phys_port_name");
    pf.physSwitchId = netdev.text("phys_switch_id");
  }

  static std::string uverbsOf(const Attributes& pci, const std::string& rdma) {
    for (const auto& name : pci.entries("infiniband_verbs")) {
      if (pci.text("infiniband_verbs/" + name + "/ibdev") == rdma) return name;
    }
    return {};
  }

  os::Filesystem& files_;
  const os::HostPaths& paths_;
  std::multimap<std::string, RdmaDevice> softRoce_;  // by netdev
  std::set<PciAddress> vfAddresses_;                 // seen so far
};

void readDevice(NodeReader& reader, const PciAddress& address, Node& node) {
  const Attributes pci = reader.pciDevice(address);
  const auto classCode = pci.number("class");
  if (!classCode) return;
  const std::uint64_t kind = *classCode >> 8;
  if (kind >> 8 == kNetworkClass) {
    if (!pci.linkName("physfn").empty()) return;  // a VF: read through its PF
    Pf pf = reader.readPf(address);
    if (pf.totalVfs > 0) {
      node.pfs.push_back(std::move(pf));
    } else {
      node.otherNics.push_back(std::move(static_cast<PciFunction&>(pf)));
    }
  } else if ((kind == kVgaController || kind == kThreeDController) &&
             pci.number("vendor") == kNvidia) {
    Gpu gpu;
    gpu.pci = address;
    gpu.device = static_cast<std::uint16_t>(pci.number("device").value_or(0));
    gpu.numaNode = pci.integer("numa_node", 0, 4095, -1);
    gpu.driver = pci.linkName("driver");
    node.gpus.push_back(std::move(gpu));
  }
}

// A machine without PCI is an ordinary node without NICs; one without sysfs is none.
Result<std::vector<std::string>> pciDevices(os::Filesystem& files, const os::HostPaths& paths,
                                            Node& node) {
  const std::string directory = paths.sys + "/bus/pci/devices";
  auto names = files.listDirectory(directory);
  if (names.has_value() || names.error().code != ErrorCode::kNotFound) return names;
  if (!files.exists(paths.sys)) {
    return std::move(names).error().withRemedy("give the root directory of a node, with sys in it");
  }
  node.notes.push_back("no PCI bus: " + directory + " is not there");
  return std::vector<std::string>();
}

}  // namespace

const char* linkTypeName(LinkType type) {
  switch (type) {
    case LinkType::kEthernet:
      return "ether";
    case LinkType::kInfiniband:
      return "infiniband";
    case LinkType::kUnknown:
      break;
  }
  return "";
}

Result<Node> discoverNode(os::Filesystem& files, const os::HostPaths& paths) {
  NodeReader reader(files, paths);
  reader.readSoftRoce();
  Node node;
  node.hostname = reader.proc("hostname");
  node.kernel = reader.proc("osrelease");
  node.architecture = reader.proc("arch");
  RAILHEAD_TRY_ASSIGN(auto names, pciDevices(files, paths, node));
  if (names.size() > kMaxPciDevices) {
    node.notes.push_back("read " + std::to_string(kMaxPciDevices) + " of " +
                         std::to_string(names.size()) + " PCI devices");
    names.resize(kMaxPciDevices);
  }
  std::vector<PciAddress> addresses;
  for (const auto& name : names) {
    auto address = PciAddress::parse(name);
    if (address.has_value()) addresses.push_back(*address);
  }
  std::sort(addresses.begin(), addresses.end());
  for (const auto& address : addresses) readDevice(reader, address, node);
  return node;
}

Result<PciFunction> discoverFunction(os::Filesystem& files, const os::HostPaths& paths,
                                     const PciAddress& pci) {
  RAILHEAD_TRY(files.status(paths.pciDevice(pci.toString())));
  const NodeReader reader(files, paths);
  PciFunction function;
  function.pci = pci;
  reader.readFunction(reader.pciDevice(pci), function);
  return function;
}

Result<Pf> discoverPf(os::Filesystem& files, const os::HostPaths& paths, const PciAddress& pci) {
  RAILHEAD_TRY(files.status(paths.pciDevice(pci.toString())));
  NodeReader reader(files, paths);
  reader.readSoftRoce();
  return reader.readPf(pci);
}

}  // namespace railhead::discover
