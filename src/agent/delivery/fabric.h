// Whether a profile is of the fabric that this node sees. Pure.
#pragma once

#include "src/advertise/inventory.h"
#include "src/base/result.h"
#include "src/tune/profile.h"

#include <string>
#include <vector>

namespace railhead::agent {

struct SeenRail {
  std::string vf;    // "15b3:101e": what ranks in a container see
  std::string pf;    // "15b3:1021": what ranks on the node see
  std::string link;  // of the PF: "200 Gb/s"; empty: down, or not known
  int vfMtu = 0;     // 0: not known, the VF may be in a pod
  int pfMtu = 0;

  bool operator==(const SeenRail&) const = default;
};

// What the node knows of its fabric: its rail sets, each kind once; empty: it has none.
struct SeenFabric {
  std::vector<std::vector<SeenRail>> sets;

  bool operator==(const SeenFabric&) const = default;
};

SeenFabric seenFabric(const advertise::RailPicture& picture);

// True when the profile's NICs are those of one or more rail sets of a kind, in any order, its
// links likewise, and its MTU is that of each rail's VF or PF. GPUs, ranks, nodes and NCCL's
// version are for whoever starts the ranks. What the node does not know differs from nothing, nor
// does what the profile does not say: ranks that used no RDMA device, or a software one.
// kCheckFailed names the first field that differs, with both values. `seen` has rail sets.
Result<void> belongsHere(const tune::Profile& profile, const SeenFabric& seen);

}  // namespace railhead::agent
