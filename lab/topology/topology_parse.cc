#include "lab/topology/topology.h"
#include "src/base/text.h"

#include <algorithm>
#include <set>
#include <sstream>

#include <yaml-cpp/yaml.h>

namespace railhead::lab {
namespace {

// One YAML value with the place it came from, so that every complaint names field, value and line.
class Field {
 public:
  Field(YAML::Node node, std::string path, const std::string& source)
      : node_(std::move(node)), path_(std::move(path)), source_(source) {}

  const YAML::Node& node() const { return node_; }
  const std::string& path() const { return path_; }
  bool isNull() const { return !node_.IsDefined() || node_.IsNull(); }

  Error complain(const std::string& problem) const {
    const int line = node_.IsDefined() ? node_.Mark().line + 1 : 0;
    const std::string where = line > 0 ? source_ + ":" + std::to_string(line) : source_;
    return Error(ErrorCode::kInvalidArgument, where + ": " + path_ + " " + problem);
  }
  Error complainAllowed(const std::string& allowed) const {
    return complain("is " + shown() + "; allowed: " + allowed);
  }

  Result<void> checkKeys(const std::vector<std::string>& allowed) const {
    if (!node_.IsMap()) return complainAllowed("a map of " + join(allowed, ", "));
    std::set<std::string> seen;
    for (const auto& entry : node_) {
      const std::string key = entry.first.IsScalar() ? entry.first.Scalar() : "(not a word)";
      const Field child(entry.first, path_.empty() ? key : path_ + "." + key, source_);
      if (std::find(allowed.begin(), allowed.end(), key) == allowed.end()) {
        return child.complain("is unknown; allowed: " + join(allowed, ", "));
      }
      if (!seen.insert(key).second) return child.complain("is given twice");
    }
    return {};
  }

  // Undefined when absent; complaints then carry the parent's line.
  Field child(const std::string& key) const {
    return Field(static_cast<const YAML::Node&>(node_)[key],
                 path_.empty() ? key : path_ + "." + key, source_);
  }
  Result<Field> required(const std::string& key, const std::string& allowed) const {
    Field found = child(key);
    if (!found.isNull()) return found;
    return Field(node_, found.path(), source_).complain("is missing; allowed: " + allowed);
  }

  Result<std::vector<Field>> list(std::size_t least, std::size_t most) const {
    const std::string allowed =
        "a list of " + std::to_string(least) + " to " + std::to_string(most) + " entries";
    if (!node_.IsSequence()) return complainAllowed(allowed);
    if (node_.size() < least || node_.size() > most) {
      return complain("has " + std::to_string(node_.size()) + " entries; allowed: " + allowed);
    }
    std::vector<Field> entries;
    for (std::size_t i = 0; i < node_.size(); ++i) {
      entries.emplace_back(static_cast<const YAML::Node&>(node_)[i],
                           path_ + "[" + std::to_string(i) + "]", source_);
    }
    return entries;
  }

  Result<std::string> scalar(const std::string& allowed) const {
    if (!node_.IsScalar()) return complainAllowed(allowed);
    return node_.Scalar();
  }

  // A word made of letters, digits and `extra`, starting with a letter or digit.
  Result<std::string> word(std::size_t most, std::string_view extra) const {
    const std::string allowed = "1 to " + std::to_string(most) + " letters, digits and any of " +
                                quoted(extra) + ", starting with a letter or digit";
    RAILHEAD_TRY_ASSIGN(std::string text, scalar(allowed));
    const auto plain = [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    };
    const bool good = !text.empty() && text.size() <= most && plain(text.front()) &&
                      std::all_of(text.begin(), text.end(), [&](char c) {
                        return plain(c) || extra.find(c) != std::string_view::npos;
                      });
    if (!good) return complainAllowed(allowed);
    return text;
  }

  Result<unsigned> number(unsigned least, unsigned most, std::string_view unit) const {
    const std::string allowed = std::to_string(least) + " to " + std::to_string(most) +
                                (unit.empty() ? "" : " (" + std::string(unit) + ")");
    RAILHEAD_TRY_ASSIGN(const std::string text, scalar(allowed));
    const auto value = parseUnsigned(text);
    if (!value || *value < least || *value > most) return complainAllowed(allowed);
    return static_cast<unsigned>(*value);
  }

  std::string shown() const {
    if (isNull()) return "empty";
    if (node_.IsScalar()) return quoted(node_.Scalar());
    return node_.IsMap() ? "a map" : "a list";
  }

 private:
  YAML::Node node_;
  std::string path_;
  const std::string& source_;
};

constexpr std::string_view kNameExtra = "-";
constexpr std::string_view kPfNameExtra = "-_.";
constexpr std::size_t kNameLength = 32;
constexpr std::size_t kPfNameLength = 15;  // what the kernel takes as a netdev's name
constexpr unsigned kSlots = 16;

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
  if (const Field slot = field.child("slot"); !slot.isNull()) {
    RAILHEAD_TRY_ASSIGN(pf.slot, slot.number(1, kSlots, "root port"));
  }
  if (pf.slot > kSlots) return field.complain("has no root port left; allowed: slot 1 to 16");
  if (const Field vfs = field.child("vfs"); !vfs.isNull()) {
    RAILHEAD_TRY_ASSIGN(pf.vfs, vfs.number(0, TopologyLimits::kVfs, "VFs"));
  }
  for (const auto& other : before) {
    if (other.name == pf.name) {
      return name.complain("is " + quoted(pf.name) + ", which another PF of this node has");
    }
    if (other.slot == pf.slot) {
      return field.child("slot").complain("is " + std::to_string(pf.slot) + ", which " +
                                          quoted(other.name) + " has");
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
      return name.complain("is " + quoted(node.name) + ", which another node has");
    }
  }
  if (const Field memory = field.child("memory"); !memory.isNull()) {
    RAILHEAD_TRY_ASSIGN(node.memoryMib, memory.number(TopologyLimits::kMinMemoryMib,
                                                      TopologyLimits::kMaxMemoryMib, "MiB"));
  }
  if (const Field cpus = field.child("cpus"); !cpus.isNull()) {
    RAILHEAD_TRY_ASSIGN(node.cpus, cpus.number(1, TopologyLimits::kCpus, "CPUs"));
  }
  if (const Field pfs = field.child("pfs"); !pfs.isNull()) {
    RAILHEAD_TRY_ASSIGN(const auto entries, pfs.list(0, TopologyLimits::kPfs));
    for (const Field& entry : entries) {
      RAILHEAD_TRY_ASSIGN(PfSpec pf, parsePf(entry, node.pfs));
      node.pfs.push_back(std::move(pf));
    }
  }
  return node;
}

Result<LinkEnd> parseEnd(const Field& field, const Topology& topology) {
  RAILHEAD_TRY_ASSIGN(const std::string text, field.scalar("NODE/PF"));
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
    return name.complain("is " + quoted(link.name) + ", which another link has");
  }
  const std::string rates = "100kbit to 100Gbit, like 40Mbit";
  RAILHEAD_TRY_ASSIGN(const Field rate, field.required("rate", rates));
  RAILHEAD_TRY_ASSIGN(const std::string rateText, rate.scalar(rates));
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
      return entry.complain("is " + quoted(topology.endName(end)) + ", which link " +
                            quoted(here ? link.name : taken->name) + " already has");
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
      if (!used.insert(word).second) return name.complain("is " + quoted(word) + " a second time");
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
  if (const Field links = root.child("links"); !links.isNull()) {
    RAILHEAD_TRY_ASSIGN(const auto linkEntries, links.list(0, TopologyLimits::kLinks));
    for (const Field& entry : linkEntries) {
      RAILHEAD_TRY_ASSIGN(LinkSpec link, parseLink(entry, topology));
      topology.links.push_back(std::move(link));
    }
  }
  if (const Field twins = root.child("twins"); !twins.isNull()) {
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
  try {  // yaml-cpp throws; this is the one place that catches it
    const std::vector<YAML::Node> documents = YAML::LoadAll(std::string(yaml));
    if (documents.size() != 1 || !documents[0].IsMap()) {
      return Error(ErrorCode::kInvalidArgument,
                   source + ": file is no topology; allowed: one map of name, twins, nodes, links");
    }
    return parseRoot(Field(documents[0], "", source));
  } catch (const YAML::Exception& error) {
    return Error(ErrorCode::kInvalidArgument, source + ":" + std::to_string(error.mark.line + 1) +
                                                  ": file is not YAML: " + error.msg);
  }
}

}  // namespace railhead::lab
