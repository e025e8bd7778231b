// The outcome of a verbs benchmark, and its JSON form (docs/reference/bench-verbs.md).
#pragma once

#include "src/base/statistics.h"
#include "src/base/units.h"
#include "src/bench/ceiling.h"
#include "src/bench/environment.h"
#include "src/bench/transfer_memory.h"
#include "src/bench/verbs_plan.h"
#include "src/bench/verbs_wire.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace railhead::bench {

// Small messages, as many as go in a second.
struct MessageRate {
  double perSecond = 0;          // alone on the wire
  double perSecondTogether = 0;  // while every rail was busy
  Summary intervals;             // messages per second, alone
};

// One size of a sweep.
struct SizeResult {
  std::size_t messageBytes = 0;
  BitRate rate;                    // alone on the wire; of all rails: every rail at once
  BitRate rateTogether;            // while every rail was busy
  Summary intervals;               // Gb/s, alone
  std::optional<Ceiling> ceiling;  // of messages of this size
};

struct RailResult {
  std::size_t rail = 0;
  RailOffer own;         // device, GID and what the peer was told
  RailOffer peer;        // the same of the other end
  int mtu = 0;           // used by both, bytes
  BitRate rate;          // alone on the wire; payload
  BitRate rateTogether;  // while every rail was busy
  Summary intervals;     // Gb/s, alone
  Summary latency;       // microseconds: half a round trip, of reads a whole one
  MessageRate messageRate;
  std::vector<SizeResult> sizes;
  std::optional<Ceiling> ceiling;
  std::uint64_t bytesChecked = 0;
  std::uint64_t bytesWrong = 0;
};

struct StepTime {
  std::string name;
  double seconds = 0;
};

// The connecting end fills everything; the listening end knows rails, plan and what it checked.
struct VerbsReport {
  bool connector = true;
  std::string peer;
  VerbsPlan plan;
  std::vector<RailResult> rails;
  BitRate allRails;                        // every rail at once
  std::optional<Ceiling> allRailsCeiling;  // the rails' ceilings together
  double allRailsMessagesPerSecond = 0;    // every rail at once
  std::vector<SizeResult> allRailsSizes;   // without rateTogether and intervals
  Summary latency;                         // of every rail's samples
  bool latencyByMemory = true;             // else by completions: see OpenRail::seesWords
  bool verified = false;                   // every byte that was checked was right
  std::uint64_t bytesChecked = 0;
  std::uint64_t bytesWrong = 0;
  // Set when wrong bytes ended the test: where, which and how many. What comes after that step was
  // not measured: its rates and summaries are zero.
  std::optional<Error> failure;
  std::string gpu;  // whose memory, or whose driver's pinned memory, this end uses; may be empty
  Environment environment;
  Environment peerEnvironment;
  std::vector<StepTime> steps;
};

// rate / ceiling; nullopt without a ceiling.
std::optional<double> shareOf(BitRate rate, const std::optional<Ceiling>& ceiling);

std::string toJson(const VerbsReport& report);

}  // namespace railhead::bench
