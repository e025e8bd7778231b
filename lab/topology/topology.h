// What an emulated cluster consists of: nodes, their PFs, and the links that join them. Value
// types; a Topology that parseTopology() returned keeps every rule stated here.
#pragma once

#include "src/base/mac.h"
#include "src/base/pci_address.h"
#include "src/base/result.h"
#include "src/base/units.h"

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace railhead::lab {

struct TopologyLimits {
  static constexpr std::size_t kFileBytes = 64 * 1024;
  static constexpr std::size_t kNodes = 16;
  static constexpr std::size_t kPfs = 4;  // of a node
  static constexpr std::size_t kLinks = 32;
  static constexpr unsigned kMinMemoryMib = 256;
  static constexpr unsigned kMaxMemoryMib = 1024;
  static constexpr unsigned kCpus = 4;
  static constexpr unsigned kVfs = 7;  // what the emulated NIC offers on a PF
  static constexpr double kMinRate = 1e5;
  static constexpr double kMaxRate = 1e11;
};

struct PfSpec {
  std::string name;   // of its netdev in the node, unique there
  unsigned slot = 0;  // root port, 1..16, unique in the node; decides the order on the PCI bus
  unsigned vfs = 4;   // VFs wanted on it; the agent creates them, the lab does not
};

struct NodeSpec {
  std::string name;
  unsigned memoryMib = 512;
  unsigned cpus = 1;
  std::vector<PfSpec> pfs;
};

struct LinkEnd {
  std::size_t node = 0;  // index into Topology::nodes
  std::size_t pf = 0;    // index into NodeSpec::pfs
  auto operator<=>(const LinkEnd&) const = default;
};

// Two ends are a cable, more are a switch. Full duplex; `rate` holds for each direction of each
// end.
struct LinkSpec {
  std::string name;
  BitRate rate;
  std::vector<LinkEnd> ends;
};

struct Topology {
  std::string name;
  std::vector<NodeSpec> nodes;
  std::vector<LinkSpec> links;
  // Names of two PFs that sit behind one cage, on every node that has both.
  std::vector<std::pair<std::string, std::string>> twins;

  const NodeSpec* findNode(std::string_view nodeName) const;
  const LinkSpec* findLink(std::string_view linkName) const;
  const LinkSpec* linkOf(const LinkEnd& end) const;  // nullptr: nothing is plugged in
  std::string endName(const LinkEnd& end) const;     // "spark-a/enp1s0f0np0"
  unsigned totalMemoryMib() const;
};

// Where the guest sees a PF: buses are numbered in the order of the slots, from 1.
PciAddress pfAddress(const NodeSpec& node, std::size_t pf);
// Locally administered and the same in every run: derived from the names.
Mac pfMac(const NodeSpec& node, std::size_t pf);

// `source` stands in front of error messages: "lab.yaml:12: nodes[0].memory is ...".
Result<Topology> parseTopology(std::string_view yaml, const std::string& source);

// The same topology in a normal form that parseTopology() takes back: equal texts, equal
// topologies.
std::string toYaml(const Topology& topology);

std::vector<std::string> builtinTopologies();  // names, sorted
// A built-in's name, or the path of a file (anything with a '/' or ending in .yaml or .yml).
Result<Topology> loadTopology(const std::string& nameOrPath);

}  // namespace railhead::lab
