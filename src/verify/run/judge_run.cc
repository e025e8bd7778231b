#include "src/verify/run/judge_run.h"

#include "src/bench/json_fields.h"

#include <algorithm>
#include <map>
#include <set>

#include <nlohmann/json.hpp>

namespace railhead::verify {
namespace {

using bench::Json;
constexpr const char* kSchema = "railhead.verify/1";

using Dumps = std::vector<std::optional<TopologyDump>>;  // by rank

EndInput endOf(const RankAccount& account, const Dumps& dumps, const MovedBytes& moved) {
  EndInput end;
  end.name = account.name();
  end.rank = account.rank;
  end.hostBuffers = account.hostBuffers;
  end.softwareNic = account.softwareNic;
  end.gpu = account.gpu;
  end.peermem = account.peermem;
  end.probe = account.probe;
  end.moved = moved;
  end.retransmits = account.retransmits;
  const auto& dump = dumps[static_cast<std::size_t>(account.rank)];
  if (dump) end.dump = &*dump;
  end.dumpFile = "NCCL_TOPO_DUMP_FILE of " + end.name;
  return end;
}

// What the logs of all ranks say together, sorted out once.
struct RunLog {
  NcclLog log;
  std::vector<LoggedCommunicator> communicators;
  std::vector<LoggedPair> pairs;
};

RunLog logOf(const std::vector<RankAccount>& accounts) {
  RunLog run;
  for (const auto& account : accounts) {
    NcclLogStream stream(run.log);
    stream.feed(account.log);
    stream.end();
  }
  run.communicators = run.log.communicators();
  run.pairs = run.log.pairs();
  return run;
}

LineFacts linesFor(const RankAccount& sender, const RunLog& run, int from, int to) {
  if (sender.hostBuffers) return linesOfBackend(sender.backend, sender.railsOpened);
  for (const auto& pair : run.pairs) {
    if (pair.from == from && pair.to == to) {
      return linesOf(run.log, pair, run.communicators[pair.communicator]);
    }
  }
  return {};
}

// Adds to each sender's facts what all senders of its node used. A rank without a node's name
// stands alone.
void addRailsOfNodes(const std::vector<RankAccount>& accounts, std::vector<DirectionFacts>& facts) {
  std::map<std::string, std::set<std::string>> used;
  const auto nodeOf = [&](const DirectionFacts& each) {
    return accounts[static_cast<std::size_t>(each.from)].node;
  };
  for (const auto& each : facts) {
    if (each.way == Way::kLocal) continue;  // what its counters show is of others
    used[nodeOf(each)].insert(each.railsUsed.begin(), each.railsUsed.end());
  }
  for (auto& each : facts) {
    const auto& rails = used[nodeOf(each)];
    if (!nodeOf(each).empty()) each.railsOfNode.assign(rails.begin(), rails.end());
  }
}

// A dump that cannot be read is none: it only ever adds to what the driver says.
std::optional<TopologyDump> dumpOf(const RankAccount& account) {
  if (account.topology.empty()) return std::nullopt;
  auto dump = parseTopologyDump(account.topology, account.name());
  return dump.has_value() ? std::optional(std::move(*dump)) : std::nullopt;
}

Data dataOf(const RankAccount& receiver) {
  if (receiver.bytesChecked == 0) return Data::kUnchecked;
  return receiver.elementsWrong > 0 ? Data::kWrong : Data::kRight;
}

DirectionInput inputFor(const RankAccount& sender, const RankAccount& receiver,
                        const Dumps& dumps) {
  DirectionInput input;
  input.sender = endOf(sender, dumps, sender.sent);
  input.receiver = endOf(receiver, dumps, receiver.received);
  input.bytes = sender.bytesMoved;
  input.data = dataOf(receiver);
  input.bytesChecked = receiver.bytesChecked;
  input.railsAvailable = sender.railsAvailable;
  const double seconds = std::max(sender.seconds, receiver.seconds);
  if (seconds > 0) {
    input.rate = BitRate::fromBytes(static_cast<double>(sender.bytesMoved), seconds);
  }
  if (sender.ceilingGbps) {
    input.ceiling = bench::Ceiling{{*sender.ceilingGbps * 1e9}, sender.ceilingExplanation};
  }
  return input;
}

Json judgementJson(const Judgement& judgement) {
  Json findings = Json::array();
  for (const auto& finding : judgement.findings) {
    findings.push_back({{"kind", findingName(finding.kind)}, {"text", finding.text}});
  }
  return {{"from", judgement.from},
          {"to", judgement.to},
          {"verdict", verdictName(judgement.verdict)},
          {"rule", judgement.rule},
          {"reason", judgement.reason},
          {"remedies", judgement.remedies},
          {"share", judgement.share ? Json(*judgement.share) : Json(nullptr)},
          {"findings", findings},
          {"evidence", evidenceJson(judgement.evidence)}};
}

Json rankJson(const RankAccount& account) {
  const double gbps =
      account.seconds > 0 ? static_cast<double>(account.bytesMoved) * 8 / account.seconds / 1e9 : 0;
  return {{"rank", account.rank},
          {"node", account.node},
          {"backend", account.backend},
          {"device", account.device},
          {"rails", account.railsAvailable},
          {"bytes_moved", account.bytesMoved},
          {"seconds", account.seconds},
          {"gbps", gbps},
          {"ceiling_gbps", account.ceilingGbps ? Json(*account.ceilingGbps) : Json(nullptr)},
          {"ceiling_explanation", account.ceilingExplanation},
          {"bytes_checked", account.bytesChecked},
          {"elements_wrong", account.elementsWrong},
          {"notes", account.notes}};
}

}  // namespace

std::vector<Judgement> judgeRun(const std::vector<RankAccount>& accounts) {
  const RunLog run = logOf(accounts);
  Dumps dumps;
  for (const auto& account : accounts) dumps.push_back(dumpOf(account));
  std::vector<DirectionFacts> all;
  const int ranks = static_cast<int>(accounts.size());
  for (int from = 0; ranks > 1 && from < ranks; ++from) {
    const int to = (from + 1) % ranks;
    const RankAccount& sender = accounts[static_cast<std::size_t>(from)];
    const auto input = inputFor(sender, accounts[static_cast<std::size_t>(to)], dumps);
    all.push_back(directionFacts(linesFor(sender, run, from, to), input));
    all.back().from = from;
    all.back().to = to;
  }
  addRailsOfNodes(accounts, all);
  std::vector<Judgement> out;
  for (const auto& facts : all) out.push_back(judge(facts));
  return out;
}

Verdict overall(const std::vector<Judgement>& judgements) {
  if (judgements.empty()) return Verdict::kUnproven;
  const auto any = [&](Verdict verdict) {
    return std::any_of(judgements.begin(), judgements.end(),
                       [&](const auto& one) { return one.verdict == verdict; });
  };
  if (any(Verdict::kUnproven)) return Verdict::kUnproven;
  const Verdict first = judgements.front().verdict;
  const bool same = std::all_of(judgements.begin(), judgements.end(),
                                [&](const auto& one) { return one.verdict == first; });
  return same ? first : Verdict::kMixed;
}

Json evidenceJson(const std::vector<Evidence>& evidence) {
  Json out = Json::array();
  for (const auto& piece : evidence) {
    out.push_back({{"source", sourceName(piece.source)},
                   {"what", piece.what},
                   {"where", piece.where},
                   {"supports", supportsName(piece.supports)},
                   {"value", piece.value}});
  }
  return out;
}

std::string toJson(const VerifyReport& report) {
  Json ranks = Json::array();
  for (const auto& account : report.ranks) ranks.push_back(rankJson(account));
  Json judgements = Json::array();
  for (const auto& judgement : report.judgements) judgements.push_back(judgementJson(judgement));
  return bench::dumped({{"schema", kSchema},
                        {"verdict", verdictName(overall(report.judgements))},
                        {"expected", report.expected.holds},
                        {"failures", report.expected.failures},
                        {"ranks", ranks},
                        {"directions", judgements}},
                       2);
}

}  // namespace railhead::verify
