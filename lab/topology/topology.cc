#include "lab/topology/topology.h"

#include "lab/topology/builtin.h"
#include "src/base/random.h"
#include "src/base/text.h"

#include <algorithm>
#include <fstream>
#include <sstream>

#include <unistd.h>

namespace railhead::lab {

const NodeSpec* Topology::findNode(std::string_view nodeName) const {
  const auto found =
      std::find_if(nodes.begin(), nodes.end(), [&](const auto& n) { return n.name == nodeName; });
  return found == nodes.end() ? nullptr : &*found;
}

const LinkSpec* Topology::findLink(std::string_view linkName) const {
  const auto found =
      std::find_if(links.begin(), links.end(), [&](const auto& l) { return l.name == linkName; });
  return found == links.end() ? nullptr : &*found;
}

const LinkSpec* Topology::linkOf(const LinkEnd& end) const {
  for (const auto& link : links) {
    if (std::find(link.ends.begin(), link.ends.end(), end) != link.ends.end()) return &link;
  }
  return nullptr;
}

std::string Topology::endName(const LinkEnd& end) const {
  return nodes[end.node].name + "/" + nodes[end.node].pfs[end.pf].name;
}

unsigned Topology::totalMemoryMib() const {
  unsigned total = 0;
  for (const auto& node : nodes) total += node.memoryMib;
  return total;
}

PciAddress pfAddress(const NodeSpec& node, std::size_t pf) {
  const auto before = std::count_if(node.pfs.begin(), node.pfs.end(), [&](const PfSpec& other) {
    return other.slot < node.pfs[pf].slot;
  });
  return PciAddress{0, static_cast<std::uint8_t>(before + 1), 0, 0};
}

Mac pfMac(const NodeSpec& node, std::size_t pf) {
  const std::string key = node.name + "/" + node.pfs[pf].name;
  const auto hash =
      stableHash(std::span(reinterpret_cast<const std::uint8_t*>(key.data()), key.size()));
  Mac mac;
  mac.bytes[0] = 0x02;
  for (std::size_t i = 1; i < mac.bytes.size(); ++i) {
    mac.bytes[i] = static_cast<std::uint8_t>(hash >> (8 * i));
  }
  return mac;
}

std::string toYaml(const Topology& topology) {
  std::ostringstream out;
  out << "name: " << topology.name << "\ntwins:";
  if (topology.twins.empty()) out << " []";
  for (const auto& [first, second] : topology.twins) {
    out << "\n  - [" << first << ", " << second << "]";
  }
  out << "\nnodes:\n";
  for (const auto& node : topology.nodes) {
    out << "  - {name: " << node.name << ", memory: " << node.memoryMib << ", cpus: " << node.cpus
        << ", pfs: [";
    for (std::size_t i = 0; i < node.pfs.size(); ++i) {
      const PfSpec& pf = node.pfs[i];
      out << (i == 0 ? "" : ", ") << "{name: " << pf.name << ", slot: " << pf.slot
          << ", vfs: " << pf.vfs << "}";
    }
    out << "]}\n";
  }
  out << "links:";
  if (topology.links.empty()) out << " []";
  for (const auto& link : topology.links) {
    out << "\n  - {name: " << link.name
        << ", rate: " << static_cast<std::uint64_t>(link.rate.bitsPerSecond) << "bit, ends: [";
    for (std::size_t i = 0; i < link.ends.size(); ++i) {
      out << (i == 0 ? "" : ", ") << topology.endName(link.ends[i]);
    }
    out << "]}";
  }
  out << '\n';
  return out.str();
}

std::vector<std::string> builtinTopologies() {
  std::vector<std::string> names;
  for (const auto& builtin : builtinTopologyTexts()) names.emplace_back(builtin.name);
  std::sort(names.begin(), names.end());
  return names;
}

namespace {

Result<Topology> loadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text(TopologyLimits::kFileBytes + 1, '\0');
  if (file) file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!file.is_open() || file.bad()) {  // bad: a folder, say
    return Error(ErrorCode::kInvalidArgument, "topology file " + inQuotes(path) + " cannot be read",
                 "give a readable file, or a built-in: " + join(builtinTopologies(), ", "));
  }
  text.resize(static_cast<std::size_t>(file.gcount()));
  return parseTopology(text, path);
}

}  // namespace

Result<Topology> loadTopology(const std::string& nameOrPath) {
  for (const auto& builtin : builtinTopologyTexts()) {
    if (builtin.name == nameOrPath) return parseTopology(builtin.text, nameOrPath);
  }
  const bool looksLikeFile = nameOrPath.find('/') != std::string::npos ||
                             nameOrPath.ends_with(".yaml") || nameOrPath.ends_with(".yml") ||
                             ::access(nameOrPath.c_str(), F_OK) == 0;
  if (looksLikeFile) return loadFile(nameOrPath);
  return Error(ErrorCode::kInvalidArgument, "topology is " + inQuotes(nameOrPath) +
                                                "; allowed: " + join(builtinTopologies(), ", ") +
                                                ", or a file (*.yaml)");
}

}  // namespace railhead::lab
