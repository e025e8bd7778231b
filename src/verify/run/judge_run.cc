#include "src/verify/run/judge_run.h"

#include "src/bench/json_fields.h"

#include <algorithm>

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

LineFacts linesFor(const std::vector<RankAccount>& accounts, const NcclLog& log, int from, int to) {
  const RankAccount& sender = accounts[static_cast<std::size_t>(from)];
  if (sender.hostBuffers) return linesOfBackend(sender.backend, sender.railsOpened);
  const auto communicators = log.communicators();
  for (const auto& pair : log.pairs()) {
    if (pair.from == from && pair.to == to) {
      return linesOf(log, pair, communicators[pair.communicator]);
    }
  }
  return {};
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

Json evidenceJson(const Evidence& evidence) {
  return {{"source", sourceName(evidence.source)},
          {"what", evidence.what},
          {"where", evidence.where},
          {"supports", supportsName(evidence.supports)},
          {"value", evidence.value}};
}

Json judgementJson(const Judgement& judgement) {
  Json findings = Json::array();
  for (const auto& finding : judgement.findings) {
    findings.push_back({{"kind", findingName(finding.kind)}, {"text", finding.text}});
  }
  Json evidence = Json::array();
  for (const auto& piece : judgement.evidence) evidence.push_back(evidenceJson(piece));
  return {{"from", judgement.from},
          {"to", judgement.to},
          {"verdict", verdictName(judgement.verdict)},
          {"rule", judgement.rule},
          {"reason", judgement.reason},
          {"remedies", judgement.remedies},
          {"share", judgement.share ? Json(*judgement.share) : Json(nullptr)},
          {"findings", findings},
          {"evidence", evidence}};
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
  NcclLog log;
  for (const auto& account : accounts) {
    NcclLogStream stream(log);
    stream.feed(account.log);
    stream.end();
  }
  Dumps dumps;
  for (const auto& account : accounts) dumps.push_back(dumpOf(account));
  std::vector<Judgement> out;
  const int ranks = static_cast<int>(accounts.size());
  for (int from = 0; ranks > 1 && from < ranks; ++from) {
    const int to = (from + 1) % ranks;
    const auto input = inputFor(accounts[static_cast<std::size_t>(from)],
                                accounts[static_cast<std::size_t>(to)], dumps);
    DirectionFacts facts = directionFacts(linesFor(accounts, log, from, to), input);
    facts.from = from;
    facts.to = to;
    out.push_back(judge(facts));
  }
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
