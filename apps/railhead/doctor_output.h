// What the doctor found, as JSON (docs/reference/doctor.md) and as a screen.
#pragma once

#include "apps/railhead/node_answers.h"
#include "src/base/result.h"
#include "src/report/terminal/style.h"
#include "src/verify/doctor/check.h"

#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::app {

// The document of one node.
std::string doctorJson(const std::string& node, verify::doctor::Place place,
                       const std::vector<verify::doctor::CheckResult>& results);
// Every check there is: {"schema", "checks": [{"check", "looks_for"}]}.
std::string checkListJson();
// Those of several nodes as one; an answer that is no such document becomes its node's problem.
std::string joinedDoctorJson(const std::vector<NodeAnswer>& answers);

// The twins that an agent's status names (docs/reference/agent-status.md); none when it is no
// status.
discover::TwinRules twinsOf(std::string_view agentStatus);

struct DoctorTally {
  int nodes = 0, silent = 0;  // silent: nobody could look
  int broken = 0, degraded = 0, notices = 0;
};
// kCorrupt: not a document of ours.
Result<DoctorTally> tallyOf(std::string_view document);

// Findings, the gravest first, then what could not be looked at and why; `all`: what is well, too.
Result<void> printDoctor(std::ostream& out, std::string_view document, bool all,
                         const report::TerminalStyle& style);

}  // namespace railhead::app
