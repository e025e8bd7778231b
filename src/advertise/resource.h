// What the configuration says of one extended resource. Value types.
#pragma once

#include "src/advertise/selector.h"

#include <cstddef>
#include <string>
#include <vector>

namespace railhead::advertise {

enum class ResourceKind {
  kRailSet,  // one device: one VF of each twin
  kRail,     // one device: one VF
};

struct RailResourceConfig {
  std::string name;  // "nvidia.com/cx7_qsfp"
  ResourceKind kind = ResourceKind::kRailSet;
  // A device belongs to the resource when every VF of it is selected by one of these; empty: all.
  std::vector<Selector> selectors;
  // How many rails a rail set must have; 0: any. One that lacks a twin is withheld.
  std::size_t rails = 0;
  bool topology = true;  // tell kubelet the NUMA node
  bool cdi = false;      // hand out CDI names; the specification is written by the agent
  bool profile = true;   // containers get the fabric's profile, when there is one
};

}  // namespace railhead::advertise
