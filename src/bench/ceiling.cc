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

// "24.51 GB/s"
std::string gigabytes(BitRate rate) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f GB/s", rate.bitsPerSecond / 8e9);
  return text;
}

// "200 Gb/s x 4096/4178 = 196 Gb/s (24.51 GB/s)"
std::string step(const std::string& what, BitRate result) {
  return what + " = " + result.toString() + " (" + gigabytes(result) + ")";
}

Result<void> checkLink(BitRate lineRate, int rdmaMtu) {
  if (rdmaMtu < 256 || rdmaMtu > 4096) {
    return Error(ErrorCode::kInvalidArgument,
                 "RDMA MTU " + std::to_string(rdmaMtu) + ": expected 256 to 4096 bytes");
  }
  if (!(lineRate.bitsPerSecond > 0)) {
    return Error(ErrorCode::kInvalidArgument, "line rate: expected more than 0 bits per second");
  }
  return {};
}

// `payload` of `wire` bytes on the line are what was asked for.
Ceiling shareOfLine(BitRate lineRate, std::uint64_t payload, std::uint64_t wire,
                    const Framing& framing) {
  const BitRate rate{lineRate.bitsPerSecond * static_cast<double>(payload) /
                     static_cast<double>(wire)};
  const std::string share =
      lineRate.toString() + " line x " + std::to_string(payload) + "/" + std::to_string(wire);
  return Ceiling{rate, share + " (" + framing.name() + ")", {step(share, rate)}};
}

}  // namespace

int Framing::bytesPerPacket() const {
  if (format == PacketFormat::kInfiniband) return 26;
  return kRoceBytesPerPacket + (format == PacketFormat::kRoceIpv6 ? 20 : 0) + (vlan ? 4 : 0);
}

const char* Framing::name() const {
  if (format == PacketFormat::kInfiniband) return "InfiniBand headers";
  return format == PacketFormat::kRoceIpv6 ? "RoCE v2 headers over IPv6" : "RoCE v2 headers";
}

Result<Ceiling> wireCeiling(BitRate lineRate, int rdmaMtu, const Framing& framing) {
  RAILHEAD_TRY(checkLink(lineRate, rdmaMtu));
  const auto mtu = static_cast<std::uint64_t>(rdmaMtu);
  const auto headers = static_cast<std::uint64_t>(framing.bytesPerPacket());
  auto ceiling = shareOfLine(lineRate, mtu, mtu + headers, framing);
  ceiling.sum.insert(ceiling.sum.begin(), std::to_string(mtu) + " bytes of payload and " +
                                              std::to_string(headers) + " of " + framing.name() +
                                              " in a packet");
  return ceiling;
}

Result<Ceiling> messageCeiling(BitRate lineRate, int rdmaMtu, std::uint64_t message,
                               const Framing& framing, const MessageHeader& header) {
  RAILHEAD_TRY(checkLink(lineRate, rdmaMtu));
  constexpr std::uint64_t kLargest = 1ULL << 31;  // of one RDMA message
  if (message == 0 || message > kLargest) {
    return Error(ErrorCode::kInvalidArgument, "message of " + std::to_string(message) +
                                                  " bytes: expected 1 to " +
                                                  std::to_string(kLargest));
  }
  const auto mtu = static_cast<std::uint64_t>(rdmaMtu);
  const auto headers = static_cast<std::uint64_t>(framing.bytesPerPacket());
  const std::uint64_t packets = (message + mtu - 1) / mtu;
  const auto own = static_cast<std::uint64_t>(header.bytes);
  auto ceiling = shareOfLine(lineRate, message, message + packets * headers + own, framing);
  ceiling.sum.insert(ceiling.sum.begin(), formatBytes(message) + " in " + std::to_string(packets) +
                                              " packets with " + std::to_string(headers) +
                                              " bytes of " + framing.name() + " each, and " +
                                              std::to_string(own) + " for " + header.name);
  return ceiling;
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
  const BitRate rate{width * gigatransfersPerLane * 1e9 * generation->coding};
  const std::string link =
      "PCIe Gen" + std::to_string(generation->number) + " x" + std::to_string(width);
  return Ceiling{rate,
                 link + " (" + generation->codingName + ", before packet headers)",
                 {step(std::to_string(width) + " lanes x " + number(gigatransfersPerLane) +
                           " GT/s x " + generation->codingName,
                       rate)}};
}

Result<Ceiling> pcieCeiling(int width, double gigatransfersPerLane, int payload) {
  constexpr int kHeaders = 24;
  if (payload < 128 || payload > 4096) {
    return Error(ErrorCode::kInvalidArgument,
                 "PCIe payload of " + std::to_string(payload) + " bytes: expected 128 to 4096");
  }
  RAILHEAD_TRY_ASSIGN(Ceiling raw, pcieCeiling(width, gigatransfersPerLane));
  const std::string share = std::to_string(payload) + "/" + std::to_string(payload + kHeaders);
  raw.rate.bitsPerSecond *= static_cast<double>(payload) / (payload + kHeaders);
  raw.explanation =
      raw.explanation.substr(0, raw.explanation.find(" (")) + " x " + share + " (packet headers)";
  raw.sum.push_back(step("x " + share + " payload and headers of a write", raw.rate));
  return raw;
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
  for (const Ceiling& each : ceilings) {
    sum.sum.insert(sum.sum.end(), each.sum.begin(), each.sum.end());
  }
  if (ceilings.size() > 1) sum.sum.push_back(step("together", sum.rate));
  return sum;
}

Ceiling cageCeiling(const Ceiling& cable, const std::vector<Ceiling>& functions) {
  const Ceiling behind = together(functions);
  Ceiling least = lowest({cable, behind});
  std::vector<std::string> sum = cable.sum;
  sum.insert(sum.end(), behind.sum.begin(), behind.sum.end());
  sum.push_back(step("the lower of cable and PCIe", least.rate));
  least.sum = std::move(sum);
  return least;
}

Ceiling protocolCeiling(const Ceiling& path, NcclProtocol protocol) {
  if (protocol == NcclProtocol::kSimple) return path;
  const bool ll = protocol == NcclProtocol::kLl;
  const std::string share = ll ? "4/8 (NCCL LL)" : "120/128 (NCCL LL128)";
  Ceiling left = path;
  left.rate.bitsPerSecond *= ll ? 0.5 : 120.0 / 128;
  left.explanation += " x " + share;
  left.sum.push_back(step("x " + share, left.rate));
  return left;
}

int rdmaMtuFor(int netdevMtu) {
  // What the kernel sets aside for headers: GRH 40, UDP 8, BTH 12, XRC 4, atomic 28, CRC 4.
  constexpr int kHeaders = 96;
  for (const int mtu : {4096, 2048, 1024, 512, 256}) {
    if (netdevMtu >= mtu + kHeaders) return mtu;
  }
  return 0;
}

}  // namespace railhead::bench
