#include "src/verify/verdict.h"

#include "src/base/text.h"

#include <algorithm>
#include <array>
#include <cstdio>

namespace railhead::verify {
namespace {

constexpr std::string_view kLines =
    "run with NCCL_DEBUG=INFO and NCCL_DEBUG_SUBSYS=INIT,NET,GRAPH,TUNING, and give the logs of "
    "every rank";
constexpr std::string_view kCounters =
    "let both ends read their counters: name the interfaces, and mount the host's /sys in a pod";
constexpr std::string_view kData = "run with the data check on";
constexpr std::string_view kCapability =
    "ask the CUDA driver on both ends (CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_SUPPORTED), or set "
    "NCCL_TOPO_DUMP_FILE";

constexpr std::string_view kSameRun =
    "make sure that logs, topology dump and driver answers come from the same nodes and run";

std::string percent(double share) {
  char text[32];
  std::snprintf(text, sizeof text, "%.0f %%", share * 100);
  return text;
}

template <typename T>
bool matches(const std::vector<T>& allowed, T value) {
  return allowed.empty() || std::find(allowed.begin(), allowed.end(), value) != allowed.end();
}

const Rule& ruleFor(const DirectionFacts& facts) {
  const auto all = rules();
  const auto found = std::find_if(all.begin(), all.end(), [&](const Rule& rule) {
    return matches(rule.data, facts.data) && matches(rule.way, facts.way) &&
           matches(rule.counted, facts.counted) && matches(rule.capability, facts.capability);
  });
  return found == all.end() ? all.back() : *found;
}

// What would prove it: whatever of the four is missing.
std::vector<std::string> missing(const DirectionFacts& facts) {
  std::vector<std::string> remedies;
  const bool overNetwork = facts.way != Way::kSockets && facts.way != Way::kMixed;
  if (facts.way == Way::kUntold || facts.way == Way::kPartial) remedies.emplace_back(kLines);
  if (facts.counted == Counted::kUnread) remedies.emplace_back(kCounters);
  if (facts.data == Data::kUnchecked) remedies.emplace_back(kData);
  if (overNetwork && facts.capability == Capability::kUnknown) {
    remedies.emplace_back(kCapability);
  }
  return remedies;
}

void addFindings(const DirectionFacts& facts, Judgement& judgement) {
  if (judgement.verdict == Verdict::kLocal) return;
  // Where each GPU has a rail of its own, every rank uses one and the node all of them.
  const bool oneRail = facts.railsUsed.size() == 1 && facts.railsOfNode.size() <= 1;
  if (oneRail && facts.railsAvailable.size() > 1) {
    judgement.findings.push_back(
        {FindingKind::kOneRailOnly,
         "one rail only: " + facts.railsUsed.front() + " of " + join(facts.railsAvailable, ", ")});
  }
  if (judgement.share) {
    judgement.findings.push_back(
        {FindingKind::kShare, facts.rate->toString() + ", " + percent(*judgement.share) +
                                  " of the ceiling of " + facts.ceiling->rate.toString()});
  }
  if (facts.insideNic) {
    judgement.findings.push_back(
        {FindingKind::kInsideNic,
         "the RDMA counters rose and those of the cable did not: switched inside the NIC"});
  }
  if (facts.retransmits > 0) {
    judgement.findings.push_back(
        {FindingKind::kRetransmits, std::to_string(facts.retransmits) + " packets sent again"});
  }
}

bool usesRdma(Verdict verdict) {
  return verdict == Verdict::kGdr || verdict == Verdict::kHostStagedHardware ||
         verdict == Verdict::kHostStagedMisconfigured;
}

}  // namespace

std::span<const Rule> rules() {
  using enum Way;
  using C = Counted;
  using P = Capability;
  using V = Verdict;
  static const std::array<Rule, 18> kRules{{
      {"V01",
       {Data::kWrong},
       {},
       {},
       {},
       V::kUnproven,
       "bytes arrived wrong, so no figure of this run stands",
       "take the last changed NCCL setting back; chunk and buffer sizes are known to corrupt"},
      {"V02", {}, {kUntold}, {}, {}, V::kUnproven, "nothing says which way the bytes went"},
      {"V03", {}, {kPartial}, {}, {}, V::kUnproven, "the lines that say which way are incomplete"},
      {"V04", {}, {kLocal}, {}, {}, V::kLocal, "NVLink, P2P or shared memory carried the bytes"},
      {"V05",
       {Data::kUnchecked},
       {},
       {},
       {},
       V::kUnproven,
       "whether the right bytes arrived was not checked"},
      {"V06", {}, {}, {C::kUnread}, {}, V::kUnproven, "no counter was read at both ends"},
      {"V07",
       {},
       {kMixed},
       {C::kRdma, C::kTcp, C::kBoth},
       {},
       V::kMixed,
       "channels or ends of this direction go different ways"},
      {"V08",
       {},
       {kSockets, kOther},
       {C::kTcp},
       {},
       V::kSockets,
       "the bytes went through TCP, lines and counters agree"},
      {"V09",
       {},
       {kGdr},
       {C::kRdma},
       {P::kYes},
       V::kGdr,
       "NIC and GPU exchanged the bytes directly: capability, lines, counters and data agree"},
      {"V10",
       {},
       {kGdr},
       {C::kRdma},
       {P::kUnknown},
       V::kUnproven,
       "the lines say GDR and whether the GPUs can was not asked"},
      {"V11",
       {},
       {kGdr},
       {C::kRdma},
       {P::kNo, P::kOneEnd, P::kConflict},
       V::kUnproven,
       "the lines say GDR and the capability of a GPU speaks against it",
       kSameRun},
      {"V12",
       {},
       {kHost, kOther},
       {C::kRdma},
       {P::kNo},
       V::kHostStagedHardware,
       "RDMA between host memories, and this hardware can do no better"},
      {"V13",
       {},
       {kHost, kOther},
       {C::kRdma},
       {P::kYes, P::kOneEnd},
       V::kHostStagedMisconfigured,
       "RDMA between host memories, though a GPU could be reached directly"},
      {"V14",
       {},
       {kHost, kOther},
       {C::kRdma},
       {P::kUnknown},
       V::kUnproven,
       "RDMA between host memories, and whether the GPUs could do better was not asked"},
      {"V15",
       {},
       {kHost, kOther},
       {C::kRdma},
       {P::kConflict},
       V::kUnproven,
       "RDMA between host memories, and the sources disagree whether the GPUs could do better",
       kSameRun},
      {"V16",
       {},
       {kSockets},
       {},
       {},
       V::kUnproven,
       "the lines say sockets and the counters do not show the bytes as TCP's",
       "name every interface that sockets may use, lo as well, and keep other traffic away"},
      {"V17",
       {},
       {kGdr, kHost},
       {C::kTcp, C::kBoth},
       {},
       V::kUnproven,
       "the lines say RDMA and the counters show the bytes as TCP's",
       "make sure that the lines are of this run, and keep other traffic away"},
      {"V18",
       {},
       {},
       {},
       {},
       V::kUnproven,
       "what the lines say and what the counters show do not fit together",
       "name every interface that the run may use, and move more bytes"},
  }};
  return kRules;
}

Judgement judge(const DirectionFacts& facts) {
  const Rule& rule = ruleFor(facts);
  Judgement judgement;
  judgement.from = facts.from;
  judgement.to = facts.to;
  judgement.fromName = facts.fromName;
  judgement.toName = facts.toName;
  judgement.verdict = rule.verdict;
  judgement.rule = std::string(rule.id);
  judgement.reason = std::string(rule.reason);
  if (facts.way == Way::kPartial && !facts.partialReason.empty()) {
    judgement.reason += ": " + facts.partialReason;
  }
  judgement.evidence = facts.evidence;
  if (rule.verdict == Verdict::kUnproven) judgement.remedies = missing(facts);
  if (!rule.remedy.empty())
    judgement.remedies.insert(judgement.remedies.begin(), std::string(rule.remedy));
  if (rule.verdict == Verdict::kHostStagedMisconfigured) judgement.remedies = facts.causes;
  if (facts.rate && facts.ceiling && facts.ceiling->rate.bitsPerSecond > 0) {
    judgement.share = facts.rate->bitsPerSecond / facts.ceiling->rate.bitsPerSecond;
  }
  addFindings(facts, judgement);
  return judgement;
}

Result<Expectation::Path> parseExpectedPath(std::string_view text) {
  if (text == "gdr") return Expectation::Path::kGdr;
  if (text == "rdma") return Expectation::Path::kRdma;
  return Error(ErrorCode::kInvalidArgument, "path " + inQuotes(text) + ": expected gdr or rdma");
}

namespace {

void addOnce(std::vector<std::string>& all, const std::string& one) {
  if (std::find(all.begin(), all.end(), one) == all.end()) all.push_back(one);
}

}  // namespace

ExpectationResult check(const std::vector<Judgement>& judgements, const Expectation& expectation) {
  ExpectationResult result;
  std::size_t overNetwork = 0;
  for (const auto& each : judgements) {
    if (each.verdict == Verdict::kLocal) continue;
    ++overNetwork;
    const std::string direction = each.fromName + " -> " + each.toName + ": ";
    const bool asExpected =
        expectation.path == Expectation::Path::kAny ||
        (expectation.path == Expectation::Path::kGdr && each.verdict == Verdict::kGdr) ||
        (expectation.path == Expectation::Path::kRdma && usesRdma(each.verdict));
    if (!asExpected) {
      result.failures.push_back(direction + std::string(verdictText(each.verdict)) + ", expected " +
                                (expectation.path == Expectation::Path::kGdr ? "gdr" : "rdma") +
                                " (" + each.reason + ")");
      for (const auto& remedy : each.remedies) addOnce(result.remedies, remedy);
    }
    if (!expectation.minShare) continue;
    if (!each.share) {
      result.failures.push_back(direction + "its share of the ceiling is not known");
      addOnce(result.remedies, each.verdict == Verdict::kSockets
                                   ? "sockets have no ceiling: leave --min-share out, or use RDMA"
                                   : "say the rate of each rail's link, where the device does "
                                     "not: --line-rate 200Gbit");
    } else if (*each.share < *expectation.minShare) {
      result.failures.push_back(direction + percent(*each.share) + " of the ceiling, expected " +
                                percent(*expectation.minShare));
    }
  }
  if (overNetwork == 0) {
    result.failures.emplace_back("no rank pair used the network");
    result.remedies.emplace_back("start the ranks on different nodes");
  }
  result.holds = result.failures.empty();
  return result;
}

std::string_view verdictName(Verdict verdict) {
  switch (verdict) {
    case Verdict::kGdr:
      return "gdr";
    case Verdict::kHostStagedHardware:
      return "host-staged-hardware";
    case Verdict::kHostStagedMisconfigured:
      return "host-staged-misconfigured";
    case Verdict::kSockets:
      return "sockets";
    case Verdict::kMixed:
      return "mixed";
    case Verdict::kUnproven:
      return "unproven";
    case Verdict::kLocal:
      return "local";
  }
  return "unproven";
}

std::string_view verdictText(Verdict verdict) {
  if (verdict == Verdict::kHostStagedHardware) return "host-staged (hardware limit)";
  if (verdict == Verdict::kHostStagedMisconfigured) return "host-staged (misconfigured)";
  return verdictName(verdict);
}

std::string_view findingName(FindingKind kind) {
  switch (kind) {
    case FindingKind::kOneRailOnly:
      return "one-rail-only";
    case FindingKind::kShare:
      return "share";
    case FindingKind::kInsideNic:
      return "inside-nic";
    case FindingKind::kRetransmits:
      return "retransmits";
  }
  return "";
}

std::string_view word(Data data) {
  return data == Data::kRight ? "right" : data == Data::kWrong ? "wrong" : "unchecked";
}

std::string_view word(Way way) {
  switch (way) {
    case Way::kUntold:
      return "untold";
    case Way::kPartial:
      return "partial";
    case Way::kGdr:
      return "gdr";
    case Way::kHost:
      return "host";
    case Way::kSockets:
      return "sockets";
    case Way::kLocal:
      return "local";
    case Way::kOther:
      return "other";
    case Way::kMixed:
      return "mixed";
  }
  return "";
}

std::string_view word(Counted counted) {
  switch (counted) {
    case Counted::kUnread:
      return "unread";
    case Counted::kRdma:
      return "rdma";
    case Counted::kTcp:
      return "tcp";
    case Counted::kBoth:
      return "both";
    case Counted::kNeither:
      return "neither";
  }
  return "";
}

std::string_view word(Capability capability) {
  switch (capability) {
    case Capability::kUnknown:
      return "unknown";
    case Capability::kYes:
      return "yes";
    case Capability::kNo:
      return "no";
    case Capability::kOneEnd:
      return "one-end";
    case Capability::kConflict:
      return "conflict";
  }
  return "";
}

}  // namespace railhead::verify
