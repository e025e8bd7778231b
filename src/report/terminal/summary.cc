#include "src/report/terminal/summary.h"

#include "src/base/text.h"
#include "src/base/units.h"
#include "src/report/model/verdict.h"
#include "src/report/terminal/table.h"

#include <algorithm>
#include <cmath>
#include <ostream>

namespace railhead::report {
namespace {

constexpr std::size_t kMostNodes = 4;
constexpr std::size_t kMostPods = 4;
constexpr std::size_t kBarColumns = 28;

void printVerdict(std::ostream& out, const Report& report, const TerminalStyle& style) {
  const Verdict verdict = verdictOf(report);
  const std::string_view mark =
      style.unicode ? (verdict.good ? "✓" : "✗") : (verdict.good ? "+" : "x");
  const Ink ink = verdict.good ? Ink::kGood : Ink::kBad;
  out << style.paint(ink, mark) << ' ' << style.paint(ink, printable(verdict.headline)) << ": "
      << printable(verdict.sentence) << '\n';
  if (!report.result.remedy.empty()) {
    out << "  " << style.paint(Ink::kQuiet, "what to do  ") << printable(report.result.remedy)
        << '\n';
  }
}

void printRest(std::ostream& out, std::size_t all, std::size_t shown, std::string_view what) {
  if (all > shown) out << "  and " << all - shown << " more " << what << '\n';
}

// Resources with a vendor in their name are what this run is about; cpu and memory are not.
std::string offered(const Node& node) {
  std::vector<std::string> parts;
  for (const auto& [name, count] : node.allocatable) {
    if (name.find('/') != std::string::npos) {
      parts.push_back(name + ": " + std::to_string(count));
    }
  }
  return join(parts, ", ");
}

void printNodes(std::ostream& out, const Report& report, const TerminalStyle& style) {
  Table table({{"node"}, {"kernel"}, {"PFs", Align::kRight}, {"VFs", Align::kRight}, {"offers"}});
  for (std::size_t i = 0; i < std::min(report.nodes.size(), kMostNodes); ++i) {
    const Node& node = report.nodes[i];
    std::size_t vfs = 0;
    for (const auto& pf : node.pfs) vfs += pf.vfs.size();
    table.addRow({node.name, node.kernel, std::to_string(node.pfs.size()), std::to_string(vfs),
                  offered(node)});
  }
  if (report.nodes.empty()) return;
  out << '\n';
  table.print(out, style);
  printRest(out, report.nodes.size(), kMostNodes, "nodes");
}

void printPods(std::ostream& out, const Report& report, const TerminalStyle& style) {
  std::vector<Column> columns{{"pod"}, {"node"}};
  std::vector<std::string> names;
  for (const auto& pod : report.pods) {
    for (const auto& one : pod.interfaces) {
      if (std::find(names.begin(), names.end(), one.name) == names.end()) names.push_back(one.name);
    }
  }
  std::sort(names.begin(), names.end());
  for (const auto& name : names) columns.push_back({printable(name)});
  Table table(columns);
  for (std::size_t i = 0; i < std::min(report.pods.size(), kMostPods); ++i) {
    const Pod& pod = report.pods[i];
    std::vector<std::string> row{pod.fullName(), pod.node};
    for (const auto& name : names) {
      const auto at = std::find_if(pod.interfaces.begin(), pod.interfaces.end(),
                                   [&](const Interface& x) { return x.name == name; });
      row.push_back(at == pod.interfaces.end() ? "" : at->address);
    }
    table.addRow(std::move(row));
  }
  if (report.pods.empty()) return;
  out << '\n';
  table.print(out, style);
  printRest(out, report.pods.size(), kMostPods, "pods");
}

// Filled up to the value, light up to the ceiling, both to the scale of `whole`.
std::string barOf(double value, double ceiling, double whole, bool unicode) {
  const auto cells = [&](double part) {
    const double exact = whole > 0 ? part / whole * static_cast<double>(kBarColumns) : 0;
    return static_cast<std::size_t>(
        std::clamp(std::round(exact), 0.0, static_cast<double>(kBarColumns)));
  };
  const std::size_t full = cells(value);
  const std::size_t light = std::max(full, cells(ceiling)) - full;
  std::string bar;
  for (std::size_t i = 0; i < full; ++i) bar += unicode ? "█" : "#";
  for (std::size_t i = 0; i < light; ++i) bar += unicode ? "░" : "-";
  return bar;
}

struct Bar {
  std::string label;
  std::optional<double> value, ceiling;
};

void printMeasurements(std::ostream& out, const Report& report, const TerminalStyle& style) {
  const Rdma& rdma = report.rdma;
  const std::vector<Bar> bars{
      {"one rail", rdma.oneRailGbps, rdma.ceilingGbps},
      {"ib_write_bw", rdma.perftestGbps, rdma.ceilingGbps},
      {allRailsName(rdma), railCount(rdma) == 1 ? std::nullopt : rdma.bothRailsGbps,
       rdma.bothRailsCeilingGbps}};
  double whole = 0;
  for (const auto& bar : bars) {
    whole = std::max({whole, bar.value.value_or(0), bar.ceiling.value_or(0)});
  }
  Table table({{"RDMA write"}, {"", Align::kRight}, {""}, {"share of ceiling", Align::kRight}});
  for (const auto& [label, value, ceiling] : bars) {
    if (!value) continue;
    const auto share = shareOf(value, ceiling);
    table.addRow({label, formatGbps(*value),
                  barOf(*value, ceiling.value_or(0), whole, style.unicode),
                  share ? formatShare(*share) + " of " + formatGbps(*ceiling) : ""});
  }
  if (rdma.latencyUs) {
    const std::string p99 =
        rdma.latencyP99Us ? "p99 " + formatSeconds(*rdma.latencyP99Us * 1e-6) : "";
    table.addRow({"latency", formatSeconds(*rdma.latencyUs * 1e-6), p99});
  }
  if (rdma.bytesChecked > 0) {
    table.addRow({"checked", formatBytes(rdma.bytesChecked),
                  rdma.bytesWrong == 0 ? "no byte wrong"
                                       : std::to_string(rdma.bytesWrong) + " bytes wrong"});
  }
  if (whole > 0 || rdma.latencyUs || rdma.bytesChecked > 0) out << '\n';
  table.print(out, style);
}

}  // namespace

void printSummary(std::ostream& out, const Report& report, const TerminalStyle& style,
                  const std::vector<std::string>& files) {
  printVerdict(out, report, style);
  printNodes(out, report, style);
  printPods(out, report, style);
  printMeasurements(out, report, style);
  out << "\n  " << report.steps.size() << (report.steps.size() == 1 ? " step in " : " steps in ")
      << formatSeconds(report.seconds);
  if (!files.empty()) out << " · " << printable(join(files, " "));
  out << '\n' << std::flush;
}

}  // namespace railhead::report
