// RDMA devices, GIDs, queue-pair parameters and completions as values. No I/O.
#pragma once

#include "src/base/ip.h"
#include "src/base/result.h"
#include "src/base/units.h"

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::verbs {

struct Gid {
  std::array<std::uint8_t, 16> bytes{};

  static Result<Gid> parse(
      std::string_view text);                   // eight groups of four: "0000:...:ffff:0a64:0005"
  static Gid fromIp(const IpAddress& address);  // IPv4 becomes ::ffff:a.b.c.d
  std::string toString() const;                 // sysfs form
  IpAddress ip() const;                         // IPv4 for a mapped address, else IPv6
  auto operator<=>(const Gid&) const = default;
};

enum class GidType { kInfiniband, kRoceV1, kRoceV2 };
std::string_view gidTypeName(GidType type);  // "RoCE v2"

// One row of a port's GID table. Its index drifts with every address change: never store it.
struct GidEntry {
  std::uint32_t index = 0;
  GidType type = GidType::kInfiniband;
  Gid gid;
  std::string netdev;    // name in this network namespace; empty when it is not here
  bool local = false;    // the GID's address stands on that netdev, in this namespace
  int prefixLength = 0;  // of that address; 0 unless local
};

enum class LinkLayer { kUnknown, kInfiniband, kEthernet };
enum class PortState { kUnknown, kDown, kInitializing, kArmed, kActive };
std::string_view portStateName(PortState state);  // "ACTIVE", as ibv_devinfo writes it

// A device and its port 1 (RoCE devices have one port each).
struct DeviceInfo {
  std::string name;     // "rocep1s0f0"
  std::string problem;  // why the rest is empty: the device could not be opened or queried
  PortState state = PortState::kUnknown;
  LinkLayer linkLayer = LinkLayer::kUnknown;
  int activeMtu = 0;  // bytes of payload per packet
  int maxMtu = 0;
  BitRate portRate;          // what the port reports; soft devices report nonsense (see software)
  int maxReadsInFlight = 1;  // RDMA reads of one connection that may be on the wire at a time
  bool software = false;     // soft-RoCE: no PCI device behind it, packets are made by the CPU
  std::string firmware;
  std::uint32_t vendorId = 0;
  std::uint32_t partId = 0;
  std::vector<GidEntry> gids;
};

struct QueuePairSize {
  std::uint32_t sendDepth = 16;
  std::uint32_t receiveDepth = 4;
};

// Both ends of a reliable connection and how hard it tries. Times of the RC protocol are
// exponents: timeout 14 is 4.096 us * 2^14 = 67 ms without an acknowledgement before a resend.
struct QueuePairPath {
  std::uint32_t localGidIndex = 0;
  std::uint32_t localPsn = 0;  // 24 bits
  Gid remoteGid;
  std::uint32_t remoteNumber = 0;  // 24 bits
  std::uint32_t remotePsn = 0;
  int mtu = 1024;            // bytes: 256, 512, 1024, 2048 or 4096
  int timeoutExponent = 15;  // 134 ms
  int retryCount = 7;        // 0..7
  int rnrRetryCount = 7;     // 7 is without end: a receiver posts before it says it is ready
  int minRnrTimer = 12;      // 0.64 ms
  int readsInFlight = 1;     // RDMA reads on the wire; no more than either end's device can
  int hopLimit = 64;
  int trafficClass = 0;
};

enum class CompletionStatus {
  kSuccess,
  kLocalProtection,   // local buffer or key is wrong
  kRemoteAccess,      // the peer refused address, key or rights
  kRetryExceeded,     // no acknowledgement: the peer or the path is gone
  kReceiverNotReady,  // the peer posted no receive
  kFlushed,           // an earlier failure took the queue pair down
  kOther,
};
// kReceive: a send arrived, with or without an immediate. kReceiveImmediate: a write with one.
enum class CompletionKind { kWrite, kRead, kSend, kReceive, kReceiveImmediate };

struct Completion {
  std::uint64_t id = 0;  // as given when posting
  CompletionStatus status = CompletionStatus::kSuccess;
  CompletionKind kind = CompletionKind::kWrite;  // meaningless unless status is kSuccess
  std::uint32_t byteLength = 0;                  // receives only
  std::optional<std::uint32_t> immediate;
  std::uint32_t queuePair = 0;
  int vendorStatus = 0;  // the provider's own code, for the message
};

// "no acknowledgement from the peer (12)": the cause in words, for error messages.
std::string describe(const Completion& completion);

}  // namespace railhead::verbs
