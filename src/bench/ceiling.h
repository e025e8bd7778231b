// What a path can carry at best, computed from what is known about it. Pure functions.
//
// Every RDMA packet of a RoCE v2 write costs 82 bytes beside its payload:
//   preamble and start 8 + inter-frame gap 12 + Ethernet header 14 + FCS 4       38
//   IPv4 20 + UDP 8                                                              28
//   base transport header 12 + invariant CRC 4                                   16
// The first packet of a message carries 16 more (RETH), which is left out: it vanishes in messages
// of many packets. A VLAN tag adds 4 and IPv6 20; both are left out as well.
#pragma once

#include "src/base/result.h"
#include "src/base/units.h"

#include <string>
#include <vector>

namespace railhead::bench {

inline constexpr int kRoceBytesPerPacket = 82;

struct Ceiling {
  BitRate rate;             // of payload
  std::string explanation;  // how it was computed, in one line
};

// Payload rate of a link: line rate x MTU / (MTU + 82). rdmaMtu in bytes, 256..4096.
Result<Ceiling> wireCeiling(BitRate lineRate, int rdmaMtu);

// Raw rate of a PCIe link after line coding, before packet headers: lanes x GT/s x coding.
Result<Ceiling> pcieCeiling(int width, double gigatransfersPerLane);

// The lowest of several that all apply to one path. `ceilings` is not empty.
Ceiling lowest(const std::vector<Ceiling>& ceilings);

// Several paths side by side.
Ceiling together(const std::vector<Ceiling>& ceilings);

}  // namespace railhead::bench
