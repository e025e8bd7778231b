// What the functions that make rails last showed of themselves. A PF without its driver, or whose
// driver is not up yet, tells neither its name nor whose twin it is, and one that fell off the bus
// tells nothing. Which cage a PF belongs to, which VFs make one device, which index that device has
// and which resource it belongs to follows this memory; whether it can be used follows what is
// there now. Plain values; pure but for learn().
#pragma once

#include "src/base/result.h"
#include "src/discover/node.h"

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace railhead::discover {

// The index of each rail set, by the first PF of its cage and the VF's index there. It enters the
// address formula, so one that is given stays while the VF exists: another number of VFs, or a cage
// that comes to be later, moves no address of a pod.
class RailIndexes {
 public:
  using Place = std::pair<PciAddress, int>;

  // The index of `place`: the one it has, else `wanted` if that is free, else the lowest free one.
  int of(const Place& place, int wanted);
  void keepOnly(const std::vector<Place>& places);
  const std::map<Place, int>& all() const { return indexes_; }

 private:
  std::map<Place, int> indexes_;
  std::set<int> given_;  // its values
};

class NodeMemory {
 public:
  static constexpr std::size_t kMaxPfs = 256;
  static constexpr std::size_t kMaxEarlierNames = 4;  // per PF

  // Takes in what shows itself: PFs with a netdev, and VFs with a driver. Another device at a PF's
  // address replaces what was known.
  void learn(const Node& node);

  // `node`, with what its silent functions last showed: names, port, switch, VFs of a PF without a
  // netdev; drivers of VFs without one; PFs and VFs that are gone.
  Node complete(const Node& node) const;

  RailIndexes indexes;

  // PFs of which it was not known whose twins they are were waited for long enough.
  bool waitedForSilent = false;

  // As text to be kept over a restart of the agent, not over a boot: `boot` tells one from another.
  std::string encode(std::string_view boot) const;
  // kCorrupt; kNotFound when it is of another boot.
  static Result<NodeMemory> decode(std::string_view text, std::string_view boot);

 private:
  // Of a PF only what identity follows: netdev, earlier names, port, switch, link type, driver.
  std::map<PciAddress, Pf> pfs_;
};

}  // namespace railhead::discover
