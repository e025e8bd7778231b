// The verbs benchmark between two ends: data check, latency, bandwidth, message rate and a sweep of
// sizes over every rail.
//
// One end listens and follows, the other connects and leads. Both verify what they receive: every
// byte, in both directions, on each rail, and the measured buffers as well. Everything has a
// deadline; a peer that dies, or a rail that does not carry, ends both sides with an Error:
//   kEnvironment / kPermissionDenied   no peer, wrong token, a peer of another version, a device
//                                      or memory that cannot be used
//   kCheckFailed                       a rail that does not carry, a peer that left, or that found
//                                      a wrong byte
//   kInvalidArgument                   a plan out of bounds
// An end that knows of wrong bytes itself (the connecting end of all, the listening end of those it
// received) returns its report, with `failure` set and the bytes counted.
// One thread each; nothing is left registered or running afterwards.
#pragma once

#include "src/base/result.h"
#include "src/bench/rail_choice.h"
#include "src/bench/rendezvous.h"
#include "src/bench/verbs_report.h"
#include "src/verbs/verbs.h"

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::bench {

struct VerbsSession {
  verbs::Verbs& verbs;
  std::vector<RailChoice> rails;
  Environment environment;  // devices in the order of `rails`
  std::string token;
  Deadline meetBy;  // for finding each other
  // Told before each step, in the user's words; may be empty.
  std::function<void(std::string_view step)> progress;
  MemoryChoice memory = {};  // of this end
};

struct VerbsTargets {
  VerbsPlan plan;
  // When known better than from the device.
  std::vector<BitRate> lineRates;  // headers are deducted; one for all rails, or one for each
  std::optional<BitRate> ceiling;  // of each rail, taken as it is
};

// `listener` is a listening TCP socket (listenTcp). Serves one peer.
Result<VerbsReport> serveVerbs(const VerbsSession& session, int listener);

Result<VerbsReport> runVerbs(const VerbsSession& session, const Endpoint& peer,
                             const VerbsTargets& targets);

// The lowest of what is known about a rail: an explicit ceiling or line rate, or else the port's
// rate (not of soft devices, which report nonsense) and the PCIe link. Of messages of one size when
// `message` is given, else of large ones.
std::optional<Ceiling> ceilingOf(const verbs::DeviceInfo& device,
                                 const DeviceEnvironment& environment, int mtu,
                                 const VerbsTargets& targets, std::size_t rail,
                                 std::optional<std::size_t> message = std::nullopt);

// Own rails in the order of the peer's: by subnet when that is unambiguous, else as they stand.
// kCheckFailed when the counts differ.
Result<std::vector<std::size_t>> pairRails(const std::vector<RailChoice>& own,
                                           const std::vector<RailOffer>& peer);

// kCheckFailed: which rail and direction, first wrong offset, expected and actual byte.
Error wrongBytes(const std::string& where, const Mismatch& mismatch, std::uint64_t ofBytes);

}  // namespace railhead::bench
