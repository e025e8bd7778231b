#include "apps/railhead/bench_output.h"

#include "src/report/terminal/style.h"
#include "src/report/terminal/table.h"

#include <cstdio>
#include <ostream>
#include <vector>

#include <unistd.h>

namespace railhead::app {
namespace {

std::string percent(std::optional<double> share) {
  if (!share) return "";
  char text[32];
  std::snprintf(text, sizeof text, "%.1f %%", *share * 100);
  return text;
}

std::string microseconds(double value) { return formatSeconds(value / 1e6); }

std::string path(const bench::RailResult& rail) {
  return rail.own.gid.ip().toString() + " -> " + rail.peer.gid.ip().toString();
}

using report::Align;
using report::Column;

std::string perSecond(double messages) {
  char text[32];
  const bool millions = messages >= 1e6;
  std::snprintf(text, sizeof text, millions ? "%.2f M/s" : "%.0f /s",
                millions ? messages / 1e6 : messages);
  return text;
}

// "± 0.4 %": half the 95 % interval of the mean.
std::string margin(const Summary& summary) {
  if (summary.count < 2 || !(summary.mean > 0)) return "";
  return "± " + percent((summary.high95 - summary.low95) / 2 / summary.mean);
}

report::Table tableOf(std::vector<Column> left, const std::vector<const char*>& figures) {
  for (const char* title : figures) left.push_back({title, Align::kRight});
  return report::Table(std::move(left));
}

void printRails(std::ostream& out, const bench::VerbsReport& report,
                const report::TerminalStyle& style) {
  std::vector<const char*> figures{"MTU"};
  if (report.connector) figures.insert(figures.end(), {"alone", "share", "all at once"});
  auto table = tableOf({{"rail", Align::kRight}, {"device"}, {"path"}}, figures);
  for (const auto& rail : report.rails) {
    std::vector<std::string> cells{std::to_string(rail.rail), rail.own.device, path(rail),
                                   std::to_string(rail.mtu)};
    if (report.connector) {
      cells.insert(cells.end(),
                   {rail.rate.toString(), percent(bench::shareOf(rail.rate, rail.ceiling)),
                    rail.rateTogether.toString()});
    }
    table.addRow(std::move(cells));
  }
  table.print(out, style);
}

void printAllRails(std::ostream& out, const bench::VerbsReport& report) {
  out << report.rails.size() << " rails at once: " << report.allRails.toString();
  if (const auto share = bench::shareOf(report.allRails, report.allRailsCeiling)) {
    out << ", " << percent(share) << " of " << report.allRailsCeiling->rate.toString() << " ("
        << report.allRailsCeiling->explanation << ")";
  }
  out << '\n';
}

void printLatency(std::ostream& out, const bench::VerbsReport& report,
                  const report::TerminalStyle& style) {
  const bool reads = report.plan.operation == bench::VerbsOperation::kRead;
  out << "\nlatency of 8 bytes, " << (reads ? "a whole read" : "half a round trip") << ", seen by "
      << (report.latencyByMemory ? "polling memory" : "completions") << '\n';
  auto table = tableOf({{"rail", Align::kRight}},
                       {"samples", "min", "median", "p90", "p99", "p99.9", "max", "mean", "95 %"});
  for (const auto& rail : report.rails) {
    const Summary& each = rail.latency;
    table.addRow({std::to_string(rail.rail), std::to_string(each.count), microseconds(each.minimum),
                  microseconds(each.median), microseconds(each.p90), microseconds(each.p99),
                  microseconds(each.p999), microseconds(each.maximum), microseconds(each.mean),
                  margin(each)});
  }
  table.print(out, style);
}

void printMessageRate(std::ostream& out, const bench::VerbsReport& report,
                      const report::TerminalStyle& style) {
  out << "\nmessages of " << formatBytes(report.plan.rateBytes) << ", "
      << report.plan.rateOutstanding << " in flight on each rail\n";
  auto table = tableOf({{"rail", Align::kRight}}, {"alone", "95 %", "all at once"});
  for (const auto& rail : report.rails) {
    table.addRow({std::to_string(rail.rail), perSecond(rail.messageRate.perSecond),
                  margin(rail.messageRate.intervals),
                  perSecond(rail.messageRate.perSecondTogether)});
  }
  table.print(out, style);
  if (report.rails.size() > 1) {
    out << report.rails.size() << " rails at once: " << perSecond(report.allRailsMessagesPerSecond)
        << '\n';
  }
}

void printSizes(std::ostream& out, const bench::VerbsReport& report,
                const report::TerminalStyle& style) {
  out << "\nbandwidth by size, " << report.plan.outstanding << " messages in flight\n";
  auto table = tableOf({{"size", Align::kRight}, {"rail", Align::kRight}},
                       {"rate", "share", "95 %", "all at once"});
  for (std::size_t i = 0; i < report.allRailsSizes.size(); ++i) {
    for (const auto& rail : report.rails) {
      const bench::SizeResult& size = rail.sizes[i];
      table.addRow({formatBytes(size.messageBytes), std::to_string(rail.rail), size.rate.toString(),
                    percent(bench::shareOf(size.rate, size.ceiling)), margin(size.intervals),
                    size.rateTogether.toString()});
    }
    if (report.rails.size() == 1) continue;
    const bench::SizeResult& all = report.allRailsSizes[i];
    table.addRow({formatBytes(all.messageBytes), "all", all.rate.toString(),
                  percent(bench::shareOf(all.rate, all.ceiling)), "", ""});
  }
  table.print(out, style);
}

void printWhat(std::ostream& out, const bench::VerbsReport& report) {
  out << "RDMA " << bench::verbsOperationName(report.plan.operation) << " of "
      << formatBytes(report.plan.messageBytes) << ", " << report.plan.outstanding
      << " in flight over " << report.plan.pairsPerRail
      << (report.plan.pairsPerRail == 1 ? " queue pair" : " queue pairs")
      << " on each rail; memory: ";
  if (report.rails.empty()) return;
  out << bench::transferMemoryName(report.rails.front().own.memory);
  if (!report.gpu.empty()) out << " (" << report.gpu << ")";
  out << " here, " << bench::transferMemoryName(report.rails.front().peer.memory)
      << " at the peer\n";
}

}  // namespace

void printVerbsReport(std::ostream& out, const bench::VerbsReport& report) {
  const auto style = report::detectStyle(STDOUT_FILENO, report::processEnvironment);
  printWhat(out, report);
  printRails(out, report, style);
  if (report.connector) {
    if (report.rails.size() > 1) printAllRails(out, report);
    printLatency(out, report, style);
    printMessageRate(out, report, style);
    if (!report.allRailsSizes.empty()) printSizes(out, report, style);
    out << '\n';
  }
  out << "data: " << formatBytes(report.bytesChecked) << " verified byte by byte, all right\n";
}

}  // namespace railhead::app
