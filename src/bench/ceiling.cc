#include "src/bench/ceiling.h"

#include "src/base/text.h"

#include <algorithm>
#include <array>
#include <cstdio>

namespace railhead::bench {
namespace {

struct PcieGeneration {
  int number;
  double gigatransfers;
  double coding;  // share of the raw rate that carries bits of packets
  const char* codingName;
};
constexpr std::array<PcieGeneration, 6> kGenerations{{{1, 2.5, 0.8, "8b/10b"},
                                                      {2, 5, 0.8, "8b/10b"},
                                                      {3, 8, 128.0 / 130, "128b/130b"},
                                                      {4, 16, 128.0 / 130, "128b/130b"},
                                                      {5, 32, 128.0 / 130, "128b/130b"},
                                                      {6, 64, 242.0 / 256, "242B/256B"}}};

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", value);
  return text;
}

}  // namespace

Result<Ceiling> wireCeiling(BitRate lineRate, int rdmaMtu) {
  if (rdmaMtu < 256 || rdmaMtu > 4096) {
    return Error(ErrorCode::kInvalidArgument,
                 "RDMA MTU " + std::to_string(rdmaMtu) + ": expected 256 to 4096 bytes");
  }
  if (!(lineRate.bitsPerSecond > 0)) {
    return Error(ErrorCode::kInvalidArgument, "line rate: expected more than 0 bits per second");
  }
  const double efficiency = static_cast<double>(rdmaMtu) / (rdmaMtu + kRoceBytesPerPacket);
  return Ceiling{{lineRate.bitsPerSecond * efficiency},
                 lineRate.toString() + " line x " + std::to_string(rdmaMtu) + "/" +
                     std::to_string(rdmaMtu + kRoceBytesPerPacket) + " (RoCE v2 headers)"};
}

Result<Ceiling> pcieCeiling(int width, double gigatransfersPerLane) {
  const auto generation =
      std::find_if(kGenerations.begin(), kGenerations.end(),
                   [&](const auto& each) { return each.gigatransfers == gigatransfersPerLane; });
  if (generation == kGenerations.end() || width < 1 || width > 32) {
    return Error(ErrorCode::kInvalidArgument,
                 "PCIe x" + std::to_string(width) + " at " + number(gigatransfersPerLane) +
                     " GT/s: expected 1 to 32 lanes at 2.5, 5, 8, 16, 32 or 64 GT/s");
  }
  return Ceiling{{width * gigatransfersPerLane * 1e9 * generation->coding},
                 "PCIe Gen" + std::to_string(generation->number) + " x" + std::to_string(width) +
                     " (" + generation->codingName + ", before packet headers)"};
}

Ceiling lowest(const std::vector<Ceiling>& ceilings) {
  return *std::min_element(ceilings.begin(), ceilings.end(), [](const auto& a, const auto& b) {
    return a.rate.bitsPerSecond < b.rate.bitsPerSecond;
  });
}

Ceiling together(const std::vector<Ceiling>& ceilings) {
  Ceiling sum;
  std::vector<std::string> parts;
  for (const Ceiling& each : ceilings) {
    sum.rate.bitsPerSecond += each.rate.bitsPerSecond;
    parts.push_back(each.explanation);
  }
  const bool alike = std::all_of(parts.begin(), parts.end(),
                                 [&](const auto& part) { return part == parts.front(); });
  sum.explanation = alike && parts.size() > 1 ? std::to_string(parts.size()) + " x " + parts.front()
                                              : join(parts, " + ");
  return sum;
}

}  // namespace railhead::bench
