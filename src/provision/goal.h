// What the VFs of a node shall look like: the configuration's part of provisioning. Plain values.
#pragma once

#include "src/base/pci_address.h"
#include "src/base/result.h"
#include "src/discover/node.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace railhead::provision {

// Conditions on a PF; those given must all hold. With none given every SR-IOV PF is meant.
struct PfSelector {
  std::optional<std::uint16_t> vendor;  // 0x15b3
  std::optional<std::uint16_t> device;  // 0x1021
  std::optional<std::string> driver;    // "mlx5_core"
  std::optional<std::string> name;      // netdev of the PF, "enp1s0f0np0"
  std::optional<PciAddress> pci;
  std::optional<std::string> port;  // phys_port_name, "p0"

  bool matches(const discover::PciFunction& function) const;  // everything but the port
  bool matches(const discover::Pf& pf) const;
  std::string describe() const;  // "vendor 0x15b3, port p0"; "any PF"
};

// A switch of the VF at its PF. When the driver has no such switch: an error if required, else a
// warning.
struct VfSwitch {
  bool on = false;
  bool required = true;
};

enum class MacPolicy {
  kStable,  // every VF gets the address derived from its PF (mac_policy.h): the same after any boot
  kKeep,    // what the driver gave stays, unless it is zero or given twice
};

struct PfGoal {
  std::string field;  // where this entry stands in the configuration: "provision.pfs[0]"
  PfSelector select;
  bool mayBeAbsent = false;  // no matching PF is fine: one configuration for unequal nodes
  int vfs = 0;               // per matching PF; 0 removes them
  int mtu = 0;  // bytes; 0 leaves it. The PF is raised to it when lower, never lowered.
  std::optional<VfSwitch> trust;
  std::optional<VfSwitch> spoofCheck;
  MacPolicy mac = MacPolicy::kStable;
};

struct Goal {
  std::vector<PfGoal> pfs;  // at most kMaxGoals
};

inline constexpr std::size_t kMaxGoals = 64;
inline constexpr int kMaxVfs = 1024;  // per PF
inline constexpr int kMinMtu = 576;
inline constexpr int kMaxMtu = 65535;

// The ranges above. kInvalidArgument names field, value and what is allowed.
Result<void> checkGoal(const Goal& goal);

struct Selected {
  const discover::Pf* pf = nullptr;  // into the node given
  const PfGoal* goal = nullptr;
};

// Which goal holds for which PF, by PCI address. kNotFound: a goal without a PF (says what the node
// has); kUnsupported: it matches only a function without SR-IOV; kInvalidArgument: two goals match
// one PF. The result points into both arguments.
Result<std::vector<Selected>> selectPfs(const Goal& goal, const discover::Node& node);

}  // namespace railhead::provision
