#include "src/verify/topology_dump.h"

#include "src/base/text.h"

#include <cmath>

#include <pugixml.hpp>

namespace railhead::verify {
namespace {

constexpr int kMaxDepth = 64;  // of elements; a chain of PCI bridges is a dozen
constexpr std::size_t kMaxName = 128;

std::optional<std::uint64_t> number(const pugi::xml_node& node, const char* name) {
  return parseUnsigned(node.attribute(name).value());
}

int small(const pugi::xml_node& node, const char* name, int otherwise) {
  const auto value = number(node, name);
  return value && *value <= 1'000'000 ? static_cast<int>(*value) : otherwise;
}

std::optional<bool> flag(const pugi::xml_node& node, const char* name) {
  const auto value = number(node, name);
  if (!value || *value > 1) return std::nullopt;
  return *value == 1;
}

// "32.0 GT/s PCIe"
double leadingNumber(std::string_view text) {
  const auto value = parseDouble(text.substr(0, text.find(' ')));
  return value && std::isfinite(*value) && *value > 0 ? *value : 0;
}

class Walk {
 public:
  explicit Walk(TopologyDump& dump) : dump_(dump) {}

  // Every element below `top`, without recursion: the depth comes from outside.
  void below(const pugi::xml_node& top) {
    pugi::xml_node node = top.first_child();
    int depth = 1;
    while (node) {
      visit(node);
      if (node.first_child() && depth < kMaxDepth) {
        node = node.first_child();
        ++depth;
        continue;
      }
      if (node.first_child()) dump_.cut = true;
      while (node && !node.next_sibling()) {
        node = node.parent();
        if (--depth == 0) return;
      }
      node = node.next_sibling();
    }
  }

  // The element in which the text broke off may lack the end of a number.
  void dropLast() {
    if (last_ == "gpu" && !dump_.gpus.empty()) dump_.gpus.pop_back();
    if (last_ == "net" && !dump_.nets.empty()) dump_.nets.pop_back();
  }

 private:
  void visit(const pugi::xml_node& node) {
    const std::string_view name = node.name();
    last_ = name;
    if (name != "gpu" && name != "net") return;
    if (dump_.gpus.size() + dump_.nets.size() == kMaxDumpedDevices) {
      dump_.cut = true;
    } else if (name == "gpu") {
      addGpu(node);
    } else {
      addNet(node);
    }
  }

  void addGpu(const pugi::xml_node& node) {
    DumpedGpu gpu;
    gpu.device = small(node, "dev", -1);
    gpu.rank = small(node, "rank", -1);
    gpu.computeCapability = small(node, "sm", 0);
    gpu.gdr = flag(node, "gdr");
    placed(node, gpu.pci, gpu.link);
    dump_.gpus.push_back(gpu);
  }

  void addNet(const pugi::xml_node& node) {
    DumpedNet net;
    net.device = small(node, "dev", -1);
    net.name = std::string(node.attribute("name").value()).substr(0, kMaxName);
    net.gdr = flag(node, "gdr");
    net.megabits = leadingNumber(node.attribute("speed").value());
    placed(node, net.pci, net.link);
    dump_.nets.push_back(std::move(net));
  }

  // The nearest PCI device above.
  static void placed(const pugi::xml_node& node, std::optional<PciAddress>& pci, DumpedLink& link) {
    for (pugi::xml_node up = node.parent(); up; up = up.parent()) {
      if (std::string_view(up.name()) != "pci") continue;
      const auto address = PciAddress::parse(up.attribute("busid").value());
      if (address.has_value()) pci = *address;
      link.width = small(up, "link_width", 0);
      link.gigatransfers = leadingNumber(up.attribute("link_speed").value());
      return;
    }
  }

  TopologyDump& dump_;
  std::string_view last_;  // name of the element visited last
};

}  // namespace

Result<TopologyDump> parseTopologyDump(std::string_view xml, std::string_view where) {
  if (xml.size() > kMaxTopologyDump) {
    return Error(ErrorCode::kExhausted, "topology dump " + inQuotes(where) + " has " +
                                            std::to_string(xml.size()) + " bytes, at most " +
                                            std::to_string(kMaxTopologyDump) + " are read");
  }
  pugi::xml_document document;
  // What was read before a mistake stands: a dump of a job that was killed ends anywhere.
  const auto parsed = document.load_buffer(xml.data(), xml.size(), pugi::parse_minimal);
  const pugi::xml_node system = document.child("system");
  if (!system) {
    return Error(ErrorCode::kCorrupt,
                 "topology dump " + inQuotes(where) + " has no <system>: " +
                     (parsed ? "another kind of file" : parsed.description()),
                 "give the file that NCCL wrote to NCCL_TOPO_DUMP_FILE");
  }
  TopologyDump dump;
  Walk walk(dump);
  walk.below(system);
  if (!parsed) {
    dump.cut = true;
    walk.dropLast();
  }
  return dump;
}

}  // namespace railhead::verify
