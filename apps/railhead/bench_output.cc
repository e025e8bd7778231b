#include "apps/railhead/bench_output.h"

#include "src/report/terminal/style.h"
#include "src/report/terminal/table.h"

#include <cstdio>
#include <ostream>

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

}  // namespace

void printVerbsReport(std::ostream& out, const bench::VerbsReport& report) {
  const auto style = report::detectStyle(STDOUT_FILENO, report::processEnvironment);
  using report::Align;
  std::vector<report::Column> columns{
      {"rail", Align::kRight}, {"device"}, {"path"}, {"MTU", Align::kRight}};
  if (report.connector) {
    for (const char* title : {"alone", "share", "all at once", "latency", "p99"}) {
      columns.push_back({title, Align::kRight});
    }
  }
  report::Table table(columns);
  for (const auto& rail : report.rails) {
    std::vector<std::string> cells{std::to_string(rail.rail), rail.own.device, path(rail),
                                   std::to_string(rail.mtu)};
    if (report.connector) {
      cells.insert(cells.end(),
                   {rail.rate.toString(), percent(bench::shareOf(rail.rate, rail.ceiling)),
                    rail.rateTogether.toString(), microseconds(rail.latency.median),
                    microseconds(rail.latency.p99)});
    }
    table.addRow(std::move(cells));
  }
  table.print(out, style);
  if (report.connector && report.rails.size() > 1) {
    out << report.rails.size() << " rails at once: " << report.allRails.toString();
    if (const auto share = bench::shareOf(report.allRails, report.allRailsCeiling)) {
      out << ", " << percent(share) << " of " << report.allRailsCeiling->rate.toString() << " ("
          << report.allRailsCeiling->explanation << ")";
    }
    out << '\n';
  }
  out << "data: " << formatBytes(report.bytesChecked) << " verified byte by byte, all right\n";
}

}  // namespace railhead::app
