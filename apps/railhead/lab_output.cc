#include "apps/railhead/lab_output.h"

#include "lab/keeper/lab_socket.h"
#include "src/base/text.h"

#include <algorithm>
#include <cstdio>
#include <vector>

namespace railhead::app {
namespace {

using Row = std::vector<std::string>;

std::string table(const std::vector<Row>& rows) {
  std::vector<std::size_t> widths;
  for (const Row& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const Row& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += row[i] + std::string(widths[i] - row[i].size() + 2, ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + '\n';
  }
  return text;
}

std::string percent(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%g %%", value);
  return text;
}

std::string pfList(const lab::NodeStatus& node) {
  std::vector<std::string> parts;
  for (const auto& pf : node.pfs) {
    parts.push_back(pf.name + " (" + (pf.link.empty() ? "no link" : pf.link) + ")");
  }
  return parts.empty() ? "none" : join(parts, ", ");
}

}  // namespace

std::string bootLine(const lab::BootEvent& event) {
  switch (event.kind) {
    case lab::BootEvent::Kind::kNodeStarted:
      return event.node + ": booting";
    case lab::BootEvent::Kind::kNodeReady:
      return event.node + ": ready after " + formatSeconds(event.seconds) + ", kernel " +
             event.kernel;
    case lab::BootEvent::Kind::kUp:
      return "all nodes ready after " + formatSeconds(event.seconds);
  }
  return "";
}

std::string statusText(const lab::LabStatus& status) {
  std::string text = "lab " + status.topology + " is " + (status.up ? "up" : "starting") +
                     " since " + formatSeconds(status.uptimeSeconds) + " (keeper " +
                     std::to_string(status.keeperPid) + ")\n\n";
  std::vector<Row> nodes{{"NODE", "STATE", "READY", "MEMORY", "KERNEL", "PFS"}};
  std::string problems;
  for (const auto& node : status.nodes) {
    nodes.push_back({node.name, std::string(lab::nodeStateName(node.state)),
                     node.readySeconds > 0 ? formatSeconds(node.readySeconds) : "-",
                     std::to_string(node.memoryMib) + " MiB",
                     node.kernel.empty() ? "-" : node.kernel, pfList(node)});
    if (node.problem.empty()) continue;
    problems += "\n" + node.problem +
                "\n  the whole console: " + lab::labCommand("logs " + node.name, status.name) +
                "\n";
  }
  text += table(nodes);
  if (!status.links.empty()) {
    std::vector<Row> links{{"LINK", "STATE", "RATE", "LOSS", "FROM", "FRAMES", "BYTES", "DROPPED"}};
    for (const auto& link : status.links) {
      bool first = true;
      for (const auto& end : link.ends) {
        const Row left = first ? Row{link.name, link.cut ? "cut" : "up", link.rate.toString(),
                                     percent(link.lossPercent)}
                               : Row{"", "", "", ""};
        links.push_back(left);
        for (const auto& cell : {end.end, std::to_string(end.frames), std::to_string(end.bytes),
                                 std::to_string(end.dropped)}) {
          links.back().push_back(cell);
        }
        first = false;
      }
    }
    text += "\n" + table(links);
  }
  return text + problems;
}

std::string linkText(const lab::LinkStatus& link) {
  return "link " + link.name + ": " + (link.cut ? "cut" : "up") + ", " + link.rate.toString() +
         ", loss " + percent(link.lossPercent);
}

}  // namespace railhead::app
