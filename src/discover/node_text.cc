#include "src/discover/node_text.h"

#include "src/base/text.h"

#include <cstdio>

namespace railhead::discover {
namespace {

std::string printable(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return out;
}

std::string orElse(const std::string& text, std::string_view otherwise) {
  return text.empty() ? std::string(otherwise) : text;
}

std::string id(const PciFunction& function) {
  char text[16];
  std::snprintf(text, sizeof text, "%04x:%04x", function.vendor, function.device);
  return text;
}

std::string compact(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", value);
  return text;
}

std::string pcieText(const PcieLink& link) {
  if (link.width == 0) return "PCIe link not reported";
  std::string text = "PCIe x" + std::to_string(link.width);
  if (link.gigatransfers > 0) text += " " + compact(link.gigatransfers) + " GT/s";
  const bool full = link.width >= link.maxWidth && link.gigatransfers >= link.maxGigatransfers;
  if (full) return text;
  return text + " (can do x" + std::to_string(link.maxWidth) + " " +
         compact(link.maxGigatransfers) + " GT/s)";
}

std::string rdmaText(const std::vector<RdmaDevice>& devices) {
  std::vector<std::string> parts;
  for (const RdmaDevice& device : devices) {
    std::string text = device.name;
    if (!device.portState.empty()) text += " " + device.portState;
    if (device.nodeGuid && device.nodeGuid->isZero()) text += " node GUID zero";
    if (device.uverbs.empty()) text += " without uverbs";
    parts.push_back(std::move(text));
  }
  return parts.empty() ? "no RDMA device" : join(parts, ", ");
}

std::string linkText(const Pf& pf) {
  if (!pf.up) return "down";
  if (!pf.carrier) return "up, no carrier";
  return pf.speed ? "up, " + pf.speed->toString() : "up";
}

std::string pfText(const Pf& pf) {
  std::string text = "  " + orElse(pf.netdev, "(no netdev)") + "  " + pf.pci.toString() + "  " +
                     id(pf) + " " + orElse(pf.driver, "without driver") + ", " + linkText(pf) +
                     ", MTU " + std::to_string(pf.mtu) + ", MAC " + pf.mac.toString() + "\n";
  text += "    " + pcieText(pf.pcie) +
          (pf.numaNode < 0 ? "" : ", NUMA node " + std::to_string(pf.numaNode));
  if (!pf.physPortName.empty()) text += ", port " + pf.physPortName;
  if (!pf.physSwitchId.empty()) text += " of switch " + pf.physSwitchId;
  text += ", " + rdmaText(pf.rdma) + "\n";
  text += "    VFs: " + std::to_string(pf.numVfs) + " of " + std::to_string(pf.totalVfs) + "\n";
  for (const Vf& vf : pf.vfs) {
    const bool away = vf.netdev.empty() && !vf.driver.empty();
    text += "      VF " + std::to_string(vf.index) + "  " + vf.pci.toString() + "  " +
            orElse(vf.netdev, away ? "(in another namespace)" : "(no netdev)") + ", " +
            orElse(vf.driver, "without driver");
    if (!vf.netdev.empty()) {
      text += ", MTU " + std::to_string(vf.mtu) + ", MAC " + vf.mac.toString();
    }
    text += ", " + rdmaText(vf.rdma) + "\n";
  }
  return text;
}

std::string name(const Node& node, const PciAddress& pci) {
  const Pf* pf = findPf(node, pci);
  return pf == nullptr || pf->netdev.empty() ? pci.toString() : pf->netdev;
}

std::string cagesText(const Node& node, const Cages& cages) {
  std::string text;
  for (const Cage& cage : cages.cages) {
    std::vector<std::string> names;
    names.reserve(cage.pfs.size());
    for (const PciAddress& pf : cage.pfs) names.push_back(name(node, pf));
    text += "  " + join(names, " + ") + (names.size() > 1 ? "  (twins)\n" : "\n");
  }
  return text;
}

}  // namespace

std::string describe(const Node& node, const Cages& cages) {
  std::string text = orElse(node.hostname, "(no host name)") + ", kernel " +
                     orElse(node.kernel, "unknown") + ", " +
                     orElse(node.architecture, "unknown architecture") + "\n";
  text += node.pfs.empty() ? "SR-IOV PFs: none\n" : "SR-IOV PFs:\n";
  for (const Pf& pf : node.pfs) text += pfText(pf);
  if (!cages.cages.empty()) text += "Cages:\n" + cagesText(node, cages);
  if (!node.otherNics.empty()) text += "Other NICs:\n";
  for (const PciFunction& nic : node.otherNics) {
    text += "  " + orElse(nic.netdev, "(no netdev)") + "  " + nic.pci.toString() + "  " + id(nic) +
            " " + orElse(nic.driver, "without driver") + "\n";
  }
  text += node.gpus.empty() ? "NVIDIA GPUs: none\n" : "NVIDIA GPUs:\n";
  for (const Gpu& gpu : node.gpus) {
    PciFunction function;
    function.vendor = 0x10de;
    function.device = gpu.device;
    text += "  " + gpu.pci.toString() + "  " + id(function) + " " +
            orElse(gpu.driver, "without driver") +
            (gpu.numaNode < 0 ? "" : ", NUMA node " + std::to_string(gpu.numaNode)) + "\n";
  }
  for (const std::string& note : node.notes) text += "Note: " + note + "\n";
  for (const std::string& note : cages.notes) text += "Note: " + note + "\n";
  std::string out;
  for (const std::string_view line : split(text, '\n')) out += printable(line) + "\n";
  out.pop_back();
  return out;
}

}  // namespace railhead::discover
