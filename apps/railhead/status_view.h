// The answers of agents as one screen, or as one JSON object. Answers come from other nodes:
// whatever they hold, it is shown as text and bounded.
#pragma once

#include "apps/railhead/node_answers.h"
#include "src/report/terminal/style.h"

#include <iosfwd>
#include <string>
#include <vector>

namespace railhead::app {

// The answers are of docs/reference/agent-status.md. Nodes, then PFs with link, PCIe and twin, then
// devices with health and holder. On a terminal lines are cut to its width.
void printStatus(std::ostream& out, const std::vector<NodeAnswer>& answers,
                 const report::TerminalStyle& style);

// {"schema": "railhead.status/1", "nodes": [{"node", "status"} or {"node", "problem"}]}, one line.
std::string statusToJson(const std::vector<NodeAnswer>& answers);

// The same answers, those that are no agent's status turned into a problem.
std::vector<NodeAnswer> checkedAnswers(std::vector<NodeAnswer> answers);

}  // namespace railhead::app
