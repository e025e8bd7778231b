// The judgement: what the bytes of one direction of a rank pair really did. Pure functions over
// facts that others gathered (src/verify/facts.h); the rules stand in one table, which
// docs/reference/verdict.md prints and a test compares. Nothing is believed alone: lines,
// counters, capability and the data check agree, or the verdict is unproven and says what is
// missing.
#pragma once

#include "src/base/units.h"
#include "src/bench/ceiling.h"
#include "src/verify/evidence.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace railhead::verify {

// How one end, or both together, say that the bytes go.
enum class Way {
  kUntold,   // no line
  kPartial,  // one end alone, or lines that were damaged, cut or of several communicators
  kGdr,      // the NIC reads and writes the GPU's memory
  kHost,     // RDMA from and to host memory
  kSockets,
  kLocal,  // P2P or shared memory: not over a network
  kOther,  // a plugin's net without GDRDMA: RDMA or not, the counters tell
  kMixed,  // channels or ends differ
};

// What the counters of both ends say of the bytes that had to move.
enum class Counted {
  kUnread,
  kRdma,     // RDMA carried them all
  kTcp,      // TCP carried them all
  kBoth,     // only both together
  kNeither,  // they are not on any counter
};

// Whether the GPUs at those ends that were not reached directly could be.
enum class Capability {
  kUnknown,
  kYes,
  kNo,
  kOneEnd,    // one of the two
  kConflict,  // sources disagree
};

enum class Data { kUnchecked, kRight, kWrong };

enum class Verdict {
  kGdr,
  kHostStagedHardware,
  kHostStagedMisconfigured,
  kSockets,
  kMixed,
  kUnproven,
  kLocal,  // no network path to judge
};
std::string_view verdictName(Verdict verdict);  // "host-staged-hardware", for JSON
std::string_view verdictText(Verdict verdict);  // "host-staged (hardware limit)", for people

// Facts of one direction. `evidence` holds what they were taken from.
struct DirectionFacts {
  int from = 0;  // ranks
  int to = 0;
  std::string fromName, toName;  // "rank 0 (spark-a)"
  Way way = Way::kUntold;
  std::string partialReason;  // of Way::kPartial
  Counted counted = Counted::kUnread;
  Capability capability = Capability::kUnknown;
  Data data = Data::kUnchecked;
  std::vector<Evidence> evidence;

  // Hints at what keeps a capable GPU from being reached, most likely first.
  std::vector<std::string> causes;
  std::vector<std::string> railsUsed;       // RDMA devices that carried a fair part
  std::vector<std::string> railsOfNode;     // the same of all ranks on its node; empty: unknown
  std::vector<std::string> railsAvailable;  // those the sender could use; empty: unknown
  std::optional<BitRate> rate;              // measured, payload
  std::optional<bench::Ceiling> ceiling;    // of the whole path: every available rail
  bool insideNic = false;                   // RDMA counted, the cable did not
  std::uint64_t retransmits = 0;
};

enum class FindingKind { kOneRailOnly, kShare, kInsideNic, kRetransmits };
std::string_view findingName(FindingKind kind);  // "one-rail-only"

struct Finding {
  FindingKind kind = FindingKind::kShare;
  std::string text;
};

struct Judgement {
  int from = 0;
  int to = 0;
  std::string fromName, toName;
  Verdict verdict = Verdict::kUnproven;
  std::string rule;                   // "V09", a row of the table
  std::string reason;                 // one sentence
  std::vector<std::string> remedies;  // what to switch on, or what to change
  std::optional<double> share;        // of the ceiling
  std::vector<Finding> findings;
  std::vector<Evidence> evidence;
};

Judgement judge(const DirectionFacts& facts);

// The rules, first match wins; the last one matches anything. Empty: any.
struct Rule {
  std::string_view id;
  std::vector<Data> data;
  std::vector<Way> way;
  std::vector<Counted> counted;
  std::vector<Capability> capability;
  Verdict verdict = Verdict::kUnproven;
  std::string_view reason;
  std::string_view remedy;  // beside switching on what is missing; may be empty
};
std::span<const Rule> rules();

// Words of the table's columns: "right", "host", "rdma", "yes".
std::string_view word(Data data);
std::string_view word(Way way);
std::string_view word(Counted counted);
std::string_view word(Capability capability);

// What a caller demands of every direction that uses the network.
struct Expectation {
  enum class Path { kAny, kRdma, kGdr };
  Path path = Path::kAny;
  std::optional<double> minShare;  // 0..1 of the ceiling
};
// "gdr", "rdma"; kInvalidArgument otherwise.
Result<Expectation::Path> parseExpectedPath(std::string_view text);

struct ExpectationResult {
  bool holds = true;
  std::vector<std::string> failures;  // one line a direction that does not meet it
  std::vector<std::string> remedies;  // of those directions, each once
};
// Does not hold when no direction used the network: nothing was shown.
ExpectationResult check(const std::vector<Judgement>& judgements, const Expectation& expectation);

}  // namespace railhead::verify
