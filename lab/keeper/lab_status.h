// What a lab is and does at one moment. Value types, shared by the keeper and its clients.
#pragma once

#include "src/base/units.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace railhead::lab {

enum class NodeState { kBooting, kReady, kDead };
std::string_view nodeStateName(NodeState state);  // "booting", "ready", "dead"

struct PfStatus {
  std::string name;
  std::string address;  // PCI address in the node
  std::string mac;
  unsigned vfs = 0;  // wanted
  std::string link;  // empty: nothing is plugged in
};

struct NodeStatus {
  std::string name;
  NodeState state = NodeState::kBooting;
  int pid = 0;  // of its QEMU
  unsigned memoryMib = 0;
  unsigned cpus = 0;
  std::string kernel;       // once ready
  double bootSeconds = 0;   // kernel start to ready, as the guest counts
  double readySeconds = 0;  // launch to ready, as the keeper counts
  std::string problem;      // how it ended, once dead
  std::vector<PfStatus> pfs;
};

struct LinkEndStatus {
  std::string end;           // "spark-a/enp1s0f0np0"
  std::uint64_t frames = 0;  // sent from this end and passed on
  std::uint64_t bytes = 0;
  std::uint64_t dropped = 0;
};

struct LinkStatus {
  std::string name;
  BitRate rate;
  bool cut = false;
  double lossPercent = 0;
  std::vector<LinkEndStatus> ends;
};

struct LabStatus {
  std::string name;
  std::string topology;
  bool up = false;  // every node has been ready
  double uptimeSeconds = 0;
  int keeperPid = 0;
  std::vector<NodeStatus> nodes;
  std::vector<LinkStatus> links;
  std::vector<std::pair<std::string, std::string>> twins;
  std::string share;         // folder of this machine that the nodes have; empty: none
  std::string topologyYaml;  // normal form, to tell whether two topologies are the same
};

// Something that happened while a lab starts.
struct BootEvent {
  enum class Kind { kNodeStarted, kNodeReady, kUp };
  Kind kind = Kind::kUp;
  std::string node;    // of the first two
  double seconds = 0;  // since the launch
  std::string kernel;  // kNodeReady
};

}  // namespace railhead::lab
