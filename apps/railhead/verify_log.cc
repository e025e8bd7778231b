#include "apps/railhead/verify_log.h"

#include "src/base/text.h"
#include "src/report/terminal/style.h"
#include "src/report/terminal/table.h"
#include "src/verify/facts.h"
#include "src/verify/run/judge_run.h"

#include <map>
#include <ostream>
#include <set>

#include <nlohmann/json.hpp>
#include <unistd.h>

namespace railhead::app {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMaxDirections = 10'000;

// Of an end that told nothing, the process that its communicator has for the rank.
std::string processName(const verify::NcclLog& log, const verify::EndPaths& end,
                        const verify::LoggedCommunicator& communicator, int rank) {
  const auto member = communicator.processes.find(rank);
  if (!end.process && member == communicator.processes.end()) return "";
  const auto& process = log.processes()[end.process ? *end.process : member->second];
  return process.host + ":" + std::to_string(process.pid);
}

// No counter was read: the rules say what that leaves open.
Json directionJson(const verify::NcclLog& log, const verify::LoggedPair& pair,
                   const verify::LoggedCommunicator& communicator, const verify::LineFacts& lines) {
  const auto judgement = verify::judge(verify::directionFacts(lines, {}));
  return {{"communicator", pair.communicator},
          {"from", pair.from},
          {"to", pair.to},
          {"from_process", processName(log, pair.send, communicator, pair.from)},
          {"to_process", processName(log, pair.receive, communicator, pair.to)},
          {"lines", verify::word(lines.both)},
          {"send", verify::word(lines.send)},
          {"receive", verify::word(lines.receive)},
          {"partial_reason", lines.partialReason},
          {"verdict", verify::verdictName(judgement.verdict)},
          {"rule", judgement.rule},
          {"reason", judgement.reason},
          {"rails", lines.rails},
          {"rails_available", lines.railsAvailable},
          {"causes", lines.causes},
          {"evidence", verify::evidenceJson(lines.evidence)}};
}

std::string textOf(const Json& names) { return join(names.get<std::vector<std::string>>(), "+"); }

std::string directionName(const Json& direction) {
  const auto end = [&](const char* rank, const char* process) {
    const std::string name = direction.at(process).get<std::string>();
    return "rank " + std::to_string(direction.at(rank).get<int>()) +
           (name.empty() ? "" : " (" + name + ")");
  };
  return end("from", "from_process") + " -> " + end("to", "to_process");
}

// "gdr", or of each end where they do not tell the same.
std::string saidOf(const Json& direction) {
  const auto word = [&](const char* name) { return direction.at(name).get<std::string>(); };
  const std::string reason = word("partial_reason");
  if (reason.empty() && word("lines") != verify::word(verify::Way::kMixed)) return word("lines");
  std::string said = word("lines");
  for (const auto& [end, name] : {std::pair("send", "sender"), std::pair("receive", "receiver")}) {
    if (word(end) != verify::word(verify::Way::kUntold))
      said += (said == word("lines") ? ": " : ", ") + word(end) + " at the " + name;
  }
  return said + (reason.empty() ? "" : "; " + reason);
}

void printTable(std::ostream& out, const Json& document, const report::TerminalStyle& style) {
  struct Row {
    std::size_t directions = 0;
    const Json* first = nullptr;
  };
  std::map<std::vector<std::string>, Row> rows;
  for (const auto& direction : document.at("directions")) {
    Row& row = rows[{saidOf(direction), direction.at("verdict").get<std::string>(),
                     textOf(direction.at("rails"))}];
    if (row.directions++ == 0) row.first = &direction;
  }
  report::Table table(
      {{"lines say"}, {"verdict"}, {"directions", report::Align::kRight}, {"rails"}, {"first"}});
  for (const auto& [key, row] : rows)
    table.addRow(
        {key[0], key[1], std::to_string(row.directions), key[2], directionName(*row.first)});
  table.print(out, style);
}

}  // namespace

std::string verifyLogJson(const verify::NcclLog& log, const std::vector<std::string>& files) {
  const auto& statistics = log.statistics();
  const auto communicators = log.communicators();
  Json directions = Json::array();
  std::map<std::string, std::size_t> ways;
  std::size_t leftOut = 0;
  for (const auto& pair : log.pairs()) {
    if (pair.to < 0) continue;
    const auto& communicator = communicators[pair.communicator];
    const auto lines = verify::linesOf(log, pair, communicator);
    ++ways[std::string(verify::word(lines.both))];
    if (directions.size() == kMaxDirections) {
      ++leftOut;
    } else {
      directions.push_back(directionJson(log, pair, communicator, lines));
    }
  }
  Json summary = Json::array();
  for (const auto& [way, count] : ways) summary.push_back({{"lines", way}, {"directions", count}});
  const Json document{{"schema", "railhead.verify-log/1"},
                      {"files", files},
                      {"versions", log.versions()},
                      {"processes", log.processes().size()},
                      {"channel_lines", statistics.channelLines},
                      {"damaged_lines", statistics.damaged},
                      {"first_damaged", statistics.firstDamaged},
                      {"warnings", log.warnings()},
                      {"summary", summary},
                      {"directions", directions},
                      {"directions_left_out", leftOut}};
  return document.dump(2, ' ', false, Json::error_handler_t::replace);
}

Result<void> printVerifyLog(std::ostream& out, std::string_view json) {
  try {
    const Json document = Json::parse(json);
    const auto style = report::detectStyle(STDOUT_FILENO, report::processEnvironment);
    const auto versions = document.at("versions").get<std::vector<std::string>>();
    out << "NCCL "
        << (versions.empty() ? "of unknown version" : report::printable(join(versions, ", ")))
        << ": " << document.at("channel_lines") << " channel lines of " << document.at("processes")
        << " processes";
    if (const auto damaged = document.at("damaged_lines").get<std::uint64_t>(); damaged > 0)
      out << "; " << damaged << " are damaged and count for nothing, the first: "
          << report::printable(document.at("first_damaged").get<std::string>());
    out << '\n';
    printTable(out, document, style);
    if (const auto more = document.at("directions_left_out").get<std::uint64_t>(); more > 0)
      out << more << " more directions are not shown\n";
    std::set<std::string> causes;
    for (const auto& direction : document.at("directions")) {
      for (const auto& cause : direction.at("causes")) causes.insert(cause.get<std::string>());
    }
    for (const auto& cause : causes) out << "cause: " << report::printable(cause) << '\n';
    for (const auto& warning : document.at("warnings"))
      out << "NCCL warns: " << report::printable(warning.get<std::string>()) << '\n';
    out << "Lines are what NCCL meant to do; no counter was read, so they prove nothing: "
           "railhead verify --on ... does both.\n";
  } catch (const nlohmann::json::exception& error) {
    return Error(ErrorCode::kCorrupt,
                 std::string("this is no result of verify --log: ") + error.what());
  }
  return {};
}

Result<void> checkTold(const verify::NcclLog& log) {
  if (log.statistics().channelLines > 0) return {};
  if (log.statistics().messages == 0)
    return Error(ErrorCode::kCheckFailed, "no line of NCCL's is in it",
                 "run with NCCL_DEBUG=INFO, and keep what each rank prints");
  if (log.statistics().oldLines > 0)
    return Error(ErrorCode::kCheckFailed,
                 "its channel lines are those of NCCL before 2.7, which are not read",
                 "run with a newer NCCL");
  return Error(ErrorCode::kCheckFailed, "no whole line in it says how a channel goes",
               "run with NCCL_DEBUG=INFO and NCCL_DEBUG_SUBSYS=INIT,ENV,NET,GRAPH, and keep what "
               "each rank prints");
}

}  // namespace railhead::app
