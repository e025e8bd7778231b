#include "apps/railhead/doctor_output.h"

#include "src/base/text.h"
#include "src/bench/json_fields.h"

#include <algorithm>
#include <array>
#include <ostream>

#include <nlohmann/json.hpp>

namespace railhead::app {
namespace {

using nlohmann::json;
namespace doctor = verify::doctor;

constexpr const char* kSchema = "railhead.doctor/1";
constexpr std::array<std::string_view, 3> kGravestFirst = {"broken", "degraded", "notice"};

json checkJson(const doctor::CheckResult& result) {
  json findings = json::array();
  for (const auto& finding : result.findings) {
    findings.push_back({{"severity", doctor::severityName(finding.severity)},
                        {"subject", finding.subject},
                        {"evidence", finding.evidence},
                        {"consequence", finding.consequence},
                        {"remedy", finding.remedy}});
  }
  return {{"check", result.id}, {"cannot_run", result.cannotRun}, {"findings", findings}};
}

json documentOf(json nodes) { return {{"schema", kSchema}, {"nodes", std::move(nodes)}}; }

// Throws json::exception: only within checked().
json parsed(std::string_view text) {
  json document = json::parse(text);
  if (document.at("schema") != kSchema) throw json::other_error::create(501, "schema", &document);
  return document;
}

// Answers come from other nodes: whatever they hold, it is an Error at worst.
template <typename Work>
auto checked(const Work& work) -> Result<decltype(work())> {
  try {
    return work();
  } catch (const json::exception& error) {
    return Error(ErrorCode::kCorrupt, std::string("not a document of railhead doctor: ") +
                                          std::string(error.what()).substr(0, 120));
  }
}

// What Screen and tallyOf read is there, each of its type; throws otherwise.
void requireWhole(const json& node) {
  const auto text = [](const json& object, const char* name) -> const std::string& {
    return object.at(name).get_ref<const std::string&>();
  };
  for (const char* name : {"node", "place", "problem"}) text(node, name);
  for (const auto& check : node.at("checks")) {
    for (const char* name : {"check", "cannot_run"}) text(check, name);
    for (const auto& finding : check.at("findings")) {
      for (const char* name : {"subject", "evidence", "consequence", "remedy"}) text(finding, name);
      const auto& severity = text(finding, "severity");
      if (std::find(kGravestFirst.begin(), kGravestFirst.end(), severity) == kGravestFirst.end())
        throw json::other_error::create(501, "an unknown severity", &finding);
    }
  }
}

json nodeOf(const NodeAnswer& answer) {
  auto node = checked([&] {
    json one = parsed(answer.json).at("nodes").at(0);
    requireWhole(one);
    one["node"] = answer.node;
    return one;
  });
  const std::string problem = !answer.problem.empty() ? answer.problem
                              : node.has_value()      ? ""
                                                      : node.error().message;
  if (!problem.empty())
    return {
        {"node", answer.node}, {"place", "node"}, {"problem", problem}, {"checks", json::array()}};
  return std::move(*node);
}

report::Ink inkOf(std::string_view severity) {
  if (severity == "broken") return report::Ink::kBad;
  return severity == "degraded" ? report::Ink::kStrong : report::Ink::kPlain;
}

class Screen {
 public:
  Screen(std::ostream& out, const report::TerminalStyle& style) : out_(out), style_(style) {}

  void node(const json& node, bool all) {
    const auto name = node.at("node").get<std::string>();
    out_ << style_.paint(report::Ink::kStrong, name.empty() ? "this node" : name) << '\n';
    const auto problem = node.at("problem").get<std::string>();
    if (!problem.empty()) out_ << "  not looked at: " << problem << '\n';
    const json& checks = node.at("checks");
    for (const auto severity : kGravestFirst) findings(checks, severity);
    standing(checks, all);
  }

 private:
  void findings(const json& checks, std::string_view severity) {
    for (const auto& check : checks) {
      for (const auto& finding : check.at("findings")) {
        if (finding.at("severity") != severity) continue;
        out_ << "  " << style_.paint(inkOf(severity), severity) << "  "
             << check.at("check").get<std::string>() << ": "
             << finding.at("subject").get<std::string>() << '\n';
        for (const char* field : {"evidence", "consequence", "remedy"}) {
          out_ << "    " << field << ": " << finding.at(field).get<std::string>() << '\n';
        }
      }
    }
  }
  void standing(const json& checks, bool all) {
    std::size_t well = 0;
    for (const auto& check : checks) {
      const auto why = check.at("cannot_run").get<std::string>();
      const auto id = check.at("check").get<std::string>();
      if (!why.empty()) {
        if (all) out_ << "  did not look  " << id << ": " << why << '\n';
        continue;
      }
      if (!check.at("findings").empty()) continue;
      ++well;
      if (all) out_ << "  well  " << id << '\n';
    }
    const auto aside = std::count_if(checks.begin(), checks.end(), [](const json& check) {
      return !check.at("cannot_run").get_ref<const std::string&>().empty();
    });
    out_ << "  " << well << " of " << checks.size() << " checks found nothing, " << aside
         << " could not look" << (all || aside == 0 ? "" : " (--all says why)") << '\n';
  }

  std::ostream& out_;
  const report::TerminalStyle& style_;
};

}  // namespace

std::string doctorJson(const std::string& node, doctor::Place place,
                       const std::vector<doctor::CheckResult>& results) {
  json checks = json::array();
  for (const auto& result : results) checks.push_back(checkJson(result));
  return bench::dumped(documentOf({{{"node", node},
                                    {"place", place == doctor::Place::kPod ? "pod" : "node"},
                                    {"problem", ""},
                                    {"checks", std::move(checks)}}}),
                       2);
}

std::string checkListJson() {
  json all = json::array();
  for (const auto& check : doctor::checks())
    all.push_back({{"check", check.id}, {"looks_for", check.looksFor}});
  return json{{"schema", "railhead.doctor-checks/1"}, {"checks", std::move(all)}}.dump(2);
}

std::string joinedDoctorJson(const std::vector<NodeAnswer>& answers) {
  json nodes = json::array();
  for (const auto& answer : answers) nodes.push_back(nodeOf(answer));
  return bench::dumped(documentOf(std::move(nodes)), 2);
}

discover::TwinRules twinsOf(std::string_view agentStatus) {
  const auto read = checked([&] {
    discover::TwinRules twins;
    const json status = json::parse(agentStatus);
    for (const auto& cage : status.at("node").at("cages")) {
      if (cage.size() < 2) continue;
      twins.groups.push_back({"the agent's twins", cage.get<std::vector<std::string>>()});
    }
    return twins;
  });
  return read.value_or(discover::TwinRules());
}

Result<DoctorTally> tallyOf(std::string_view document) {
  return checked([&] {
    DoctorTally tally;
    const json whole = parsed(document);
    for (const auto& node : whole.at("nodes")) {
      ++tally.nodes;
      if (!node.at("problem").get_ref<const std::string&>().empty()) ++tally.silent;
      for (const auto& check : node.at("checks")) {
        for (const auto& finding : check.at("findings")) {
          const auto& severity = finding.at("severity").get_ref<const std::string&>();
          ++(severity == "broken"     ? tally.broken
             : severity == "degraded" ? tally.degraded
                                      : tally.notices);
        }
      }
    }
    return tally;
  });
}

Result<void> printDoctor(std::ostream& out, std::string_view document, bool all,
                         const report::TerminalStyle& style) {
  const auto printed = checked([&] {
    Screen screen(out, style);
    const json whole = parsed(document);
    for (const auto& node : whole.at("nodes")) screen.node(node, all);
    return true;
  });
  return printed.has_value() ? Result<void>() : Result<void>(printed.error());
}

}  // namespace railhead::app
