// A tree file (tests/support/tree.h): what discovery makes of it, and what is offered from that.
#include "src/advertise/inventory.h"
#include "src/discover/counters.h"
#include "src/discover/discover.h"
#include "src/discover/node_text.h"
#include "tests/fuzz/promise.h"
#include "tests/fuzz/targets.h"
#include "tests/support/tree.h"

#include <set>

namespace railhead::fuzz {
namespace {

constexpr std::size_t kMaxEntries = 2000;

bool isOfTheKernel(const testing_support::TreeEntry& entry) {
  const auto& path = entry.path;
  return (path.starts_with("/sys/") || path.starts_with("/proc/")) && !path.ends_with('/') &&
         path.find("//") == std::string::npos;
}

void checkNode(const discover::Node& node) {
  for (const auto& pf : node.pfs)
    must(pf.vfs.size() <= discover::kMaxVfsPerPf, "the VFs of a PF are bounded");
  const auto cages = discover::pairTwins(node, {});
  must(!discover::toJson(node, cages).empty() && !discover::describe(node, cages).empty(),
       "a node can be shown");
  std::set<PciAddress> vfs;
  const auto rails = discover::railSets(node, cages, 4);
  const auto inventory = advertise::takeInventory({node, node, rails}, {}, vfs);
  for (const auto& set : inventory.sets)
    must(!set.id.empty() && !set.rails.empty(), "what is offered has an id and rails");
}

}  // namespace

bool sysfs(std::string_view input) {
  auto tree = testing_support::parseTree(input);
  if (!tree.has_value() || tree->size() > kMaxEntries) return false;
  std::erase_if(*tree, [](const auto& entry) { return !isOfTheKernel(entry); });
  testing_support::MemoryFilesystem files;
  testing_support::putTree(*tree, files);
  const auto node = discover::discoverNode(files, {});
  if (!taken(node)) return false;
  checkNode(*node);
  const auto report =
      discover::readCounters(files, {}, *node, std::chrono::steady_clock::time_point::max());
  for (const auto& function : report.functions)
    must(!function.net.empty() || !function.rdma.empty(), "who is listed has counters");
  return true;
}

}  // namespace railhead::fuzz
