#include "lab/topology/topology.h"
#include "src/base/text.h"
#include "src/config/field.h"

#include <algorithm>
#include <set>

namespace railhead::lab {
namespace {

using config::Field;

constexpr std::string_view kNameExtra = "-";
constexpr std::string_view kPfNameExtra = "-_.";
constexpr std::size_t kNameLength = 32;
constexpr std::size_t kPfNameLength = 15;  // what the kernel takes as a netdev's name
constexpr unsigned kSlots = 16;

Result<unsigned> number(const Field& field, unsigned least, unsigned most, std::string_view unit) {
  RAILHEAD_TRY_ASSIGN(const auto value, field.number(least, most, unit));
  return static_cast<unsigned>(value);
}

// The next free slot after the ones given so far.
unsigned nextSlot(const std::vector<PfSpec>& pfs) {
  unsigned slot = 0;
  for (const auto& pf : pfs) slot = std::max(slot, pf.slot);
  return slot + 1;
}

Result<PfSpec> parsePf(const Field& field, const std::vector<PfSpec>& before) {
  RAILHEAD_TRY(field.checkKeys({"name", "slot", "vfs"}));
  PfSpec pf;
  RAILHEAD_TRY_ASSIGN(const Field name, field.required("name", "the netdev's name in the node"));
  RAILHEAD_TRY_ASSIGN(pf.name, name.word(kPfNameLength, kPfNameExtra));
  pf.slot = nextSlot(before);
  if (const Field slot = field.child("slot"); slot.present()) {
    RAILHEAD_TRY_ASSIGN(pf.slot, number(slot, 1, kSlots, "root port"));
  }
  if (pf.slot > kSlots) return field.complain("has no root port left; allowed: slot 1 to 16");
  if (const Field vfs = field.child("vfs"); vfs.present()) {
    RAILHEAD_TRY_ASSIGN(pf.vfs, number(vfs, 0, TopologyLimits::kVfs, "VFs"));
  }
  for (const auto& other : before) {
    if (other.name == pf.name) {
      return name.complain("is " + inQuotes(pf.name) + ", which another PF of this node has");
    }
    if (other.slot == pf.slot) {
      return field.child("slot").complain("is " + std::to_string(pf.slot) + ", which " +
                                          inQuotes(other.name) + " has");
    }
  }
  return pf;
}

Result<NodeSpec> parseNode(const Field& field, const std::vector<NodeSpec>& before) {
  RAILHEAD_TRY(field.checkKeys({"name", "memory", "cpus", "pfs"}));
  NodeSpec node;
  RAILHEAD_TRY_ASSIGN(const Field name, field.required("name", "a name for the node"));
  RAILHEAD_TRY_ASSIGN(node.name, name.word(kNameLength, kNameExtra));
  for (const auto& other : before) {
    if (other.name == node.name) {
      return name.complain("is " + inQuotes(node.name) + ", which another node has");
    }
  }
  if (const Field memory = field.child("memory"); memory.present()) {
    RAILHEAD_TRY_ASSIGN(node.memoryMib, number(memory, TopologyLimits::kMinMemoryMib,
                                               TopologyLimits::kMaxMemoryMib, "MiB"));
  }
  if (const Field cpus = field.child("cpus"); cpus.present()) {
    RAILHEAD_TRY_ASSIGN(node.cpus, number(cpus, 1, TopologyLimits::kCpus, "CPUs"));
  }
  if (const Field pfs = field.child("pfs"); pfs.present()) {
    RAILHEAD_TRY_ASSIGN(const auto entries, pfs.list(0, TopologyLimits::kPfs));
    for (const Field& entry : entries) {
      RAILHEAD_TRY_ASSIGN(PfSpec pf, parsePf(entry, node.pfs));
      node.pfs.push_back(std::move(pf));
    }
  }
  return node;
}

Result<LinkEnd> parseEnd(const Field& field, const Topology& topology) {
  RAILHEAD_TRY_ASSIGN(const std::string text, field.text("NODE/PF"));
  std::vector<std::string> known;
  for (std::size_t n = 0; n < topology.nodes.size(); ++n) {
    for (std::size_t p = 0; p < topology.nodes[n].pfs.size(); ++p) {
      if (topology.endName({n, p}) == text) return LinkEnd{n, p};
      if (known.size() < 16) known.push_back(topology.endName({n, p}));
    }
  }
  return field.complainAllowed(known.empty() ? "nothing, because no node has a PF"
                                             : join(known, ", "));
}

Result<LinkSpec> parseLink(const Field& field, const Topology& topology) {
  RAILHEAD_TRY(field.checkKeys({"name", "rate", "ends"}));
  LinkSpec link;
  RAILHEAD_TRY_ASSIGN(const Field name, field.required("name", "a name for the link"));
  RAILHEAD_TRY_ASSIGN(link.name, name.word(kNameLength, kNameExtra));
  if (topology.findLink(link.name) != nullptr) {
    return name.complain("is " + inQuotes(link.name) + ", which another link has");
  }
  const std::string rates = "100kbit to 100Gbit, like 40Mbit";
  RAILHEAD_TRY_ASSIGN(const Field rate, field.required("rate", rates));
  RAILHEAD_TRY_ASSIGN(const std::string rateText, rate.text(rates));
  const auto parsed = BitRate::parse(rateText);
  if (!parsed || parsed->bitsPerSecond < TopologyLimits::kMinRate ||
      parsed->bitsPerSecond > TopologyLimits::kMaxRate) {
    return rate.complainAllowed(rates);
  }
  link.rate = *parsed;
  RAILHEAD_TRY_ASSIGN(const Field ends, field.required("ends", "a list of NODE/PF"));
  RAILHEAD_TRY_ASSIGN(const auto entries, ends.list(2, TopologyLimits::kNodes));
  for (const Field& entry : entries) {
    RAILHEAD_TRY_ASSIGN(const LinkEnd end, parseEnd(entry, topology));
    const LinkSpec* taken = topology.linkOf(end);
    const bool here = std::find(link.ends.begin(), link.ends.end(), end) != link.ends.end();
    if (taken != nullptr || here) {
      return entry.complain("is " + inQuotes(topology.endName(end)) + ", which link " +
                            inQuotes(here ? link.name : taken->name) + " already has");
    }
    link.ends.push_back(end);
  }
  return link;
}

Result<void> parseTwins(const Field& field, Topology& topology) {
  RAILHEAD_TRY_ASSIGN(const auto pairs, field.list(0, TopologyLimits::kPfs));
  std::set<std::string> used;
  for (const Field& pair : pairs) {
    RAILHEAD_TRY_ASSIGN(const auto names, pair.list(2, 2));
    std::vector<std::string> words;
    for (const Field& name : names) {
      RAILHEAD_TRY_ASSIGN(const std::string word, name.word(kPfNameLength, kPfNameExtra));
      const bool known =
          std::any_of(topology.nodes.begin(), topology.nodes.end(), [&](const NodeSpec& node) {
            return std::any_of(node.pfs.begin(), node.pfs.end(),
                               [&](const PfSpec& pf) { return pf.name == word; });
          });
      if (!known) return name.complainAllowed("the name of a PF that a node of this file has");
      if (!used.insert(word).second)
        return name.complain("is " + inQuotes(word) + " a second time");
      words.push_back(word);
    }
    topology.twins.emplace_back(words[0], words[1]);
  }
  return {};
}

Result<Topology> parseRoot(const Field& root) {
  RAILHEAD_TRY(root.checkKeys({"name", "twins", "nodes", "links"}));
  Topology topology;
  RAILHEAD_TRY_ASSIGN(const Field name, root.required("name", "a name for the topology"));
  RAILHEAD_TRY_ASSIGN(topology.name, name.word(kNameLength, kNameExtra));
  RAILHEAD_TRY_ASSIGN(const Field nodes, root.required("nodes", "a list of nodes"));
  RAILHEAD_TRY_ASSIGN(const auto nodeEntries, nodes.list(1, TopologyLimits::kNodes));
  for (const Field& entry : nodeEntries) {
    RAILHEAD_TRY_ASSIGN(NodeSpec node, parseNode(entry, topology.nodes));
    topology.nodes.push_back(std::move(node));
  }
  if (const Field links = root.child("links"); links.present()) {
    RAILHEAD_TRY_ASSIGN(const auto linkEntries, links.list(0, TopologyLimits::kLinks));
    for (const Field& entry : linkEntries) {
      RAILHEAD_TRY_ASSIGN(LinkSpec link, parseLink(entry, topology));
      topology.links.push_back(std::move(link));
    }
  }
  if (const Field twins = root.child("twins"); twins.present()) {
    RAILHEAD_TRY(parseTwins(twins, topology));
  }
  return topology;
}

}  // namespace

Result<Topology> parseTopology(std::string_view yaml, const std::string& source) {
  if (yaml.size() > TopologyLimits::kFileBytes) {
    return Error(ErrorCode::kInvalidArgument,
                 source + ": file is larger than allowed; allowed: up to 64 KiB");
  }
  RAILHEAD_TRY_ASSIGN(const Field root, Field::parse(yaml, source));
  return parseRoot(root);
}

}  // namespace railhead::lab
