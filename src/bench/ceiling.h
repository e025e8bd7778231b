// What a path can carry at best, computed from what is known about it. Pure functions; each keeps
// its sum, so that a reader can follow it.
//
// Every RDMA packet costs bytes beside its payload. RoCE v2 over IPv4, 82:
//   preamble and start 8 + inter-frame gap 12 + Ethernet header 14 + FCS 4       38
//   IPv4 20 + UDP 8                                                              28
//   base transport header 12 + invariant CRC 4                                   16
// IPv6 adds 20 and a VLAN tag 4. InfiniBand: local route header 8, base transport header 12, the
// two CRCs 6 = 26. The first packet of a write carries 16 more (RETH), which vanishes in messages
// of many packets and is counted only where a message's size is given.
#pragma once

#include "src/base/result.h"
#include "src/base/units.h"

#include <cstdint>
#include <string>
#include <vector>

namespace railhead::bench {

inline constexpr int kRoceBytesPerPacket = 82;
inline constexpr int kWriteHeaderBytes = 16;  // RETH

// What one message carries beside its packets' headers.
struct MessageHeader {
  int bytes = kWriteHeaderBytes;
  const char* name = "the write";
};
inline constexpr MessageHeader kSendHeader{0, "the send"};
inline constexpr MessageHeader kReadHeader{4, "the read's answer"};  // AETH

struct Ceiling {
  BitRate rate;                       // of payload
  std::string explanation;            // how it was computed, in one line
  std::vector<std::string> sum = {};  // each step with its figures, for those who ask
};

enum class PacketFormat { kRoceIpv4, kRoceIpv6, kInfiniband };

struct Framing {
  PacketFormat format = PacketFormat::kRoceIpv4;
  bool vlan = false;  // Ethernet only

  int bytesPerPacket() const;
  const char* name() const;  // "RoCE v2 headers"
};

// Payload rate of a link: line rate x MTU / (MTU + headers). rdmaMtu in bytes, 256..4096.
Result<Ceiling> wireCeiling(BitRate lineRate, int rdmaMtu, const Framing& framing = {});
// The same for messages of `message` bytes, which need not fill their last packet.
Result<Ceiling> messageCeiling(BitRate lineRate, int rdmaMtu, std::uint64_t message,
                               const Framing& framing = {}, const MessageHeader& header = {});

// Raw rate of a PCIe link after line coding, before packet headers: lanes x GT/s x coding.
Result<Ceiling> pcieCeiling(int width, double gigatransfersPerLane);
// After the headers of memory writes of `payload` bytes (128..4096, the device's MaxPayload): 24
// each, which is framing and sequence 4, header 16, LCRC 4. What acknowledgements and credits take
// is not counted.
Result<Ceiling> pcieCeiling(int width, double gigatransfersPerLane, int payload);

// The lowest of several that all apply to one path. `ceilings` is not empty.
Ceiling lowest(const std::vector<Ceiling>& ceilings);

// Several paths side by side.
Ceiling together(const std::vector<Ceiling>& ceilings);

// Twins: each has its own PCIe link, all share one cable. `functions` is not empty.
Ceiling cageCeiling(const Ceiling& cable, const std::vector<Ceiling>& functions);

// What NCCL's protocols leave of a path: LL carries 4 bytes of data in 8, LL128 120 in 128.
enum class NcclProtocol { kLl, kLl128, kSimple };
Ceiling protocolCeiling(const Ceiling& path, NcclProtocol protocol);

// The largest RDMA MTU that fits a netdev's: 1500 gives 1024, 4200 and 9000 give 4096. 0: none.
int rdmaMtuFor(int netdevMtu);

}  // namespace railhead::bench
