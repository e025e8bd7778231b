#include "apps/railhead/bench_collectives_output.h"

#include "src/base/units.h"
#include "src/report/terminal/style.h"
#include "src/report/terminal/table.h"

#include <cstdio>
#include <ostream>

#include <nlohmann/json.hpp>
#include <unistd.h>

namespace railhead::app {
namespace {

using nlohmann::json;

std::string fixed(double value, int digits) {
  char text[48];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

// Four figures at least: 0.0123, 12.34, 1234.
std::string gigabytes(double value) { return fixed(value, value >= 100 ? 1 : value >= 1 ? 2 : 4); }

void addLine(report::Table& table, const json& line) {
  const auto& time = line.at("time");
  const double mean = time.at("mean_us").get<double>();
  const double half = (time.at("high95_us").get<double>() - time.at("low95_us").get<double>()) / 2;
  table.addRow({line.at("operation").get<std::string>(), line.at("type").get<std::string>(),
                line.at("in_place").get<bool>() ? "in" : "out",
                formatBytes(line.at("bytes").get<std::uint64_t>()), formatSeconds(mean / 1e6),
                mean > 0 ? "±" + fixed(half / mean * 100, 1) + " %" : "",
                formatSeconds(time.at("p99_us").get<double>() / 1e6),
                gigabytes(line.at("algbw_gbytes_per_s").get<double>()),
                gigabytes(line.at("busbw_gbytes_per_s").get<double>()),
                std::to_string(line.at("elements_wrong").get<std::uint64_t>())});
}

}  // namespace

std::string progressLine(const bench::SweepLine& line) {
  return std::string(collective::operationName(line.what.call.operation)) + " " +
         formatBytes(line.what.bytes) + " " +
         std::string(collective::elementTypeName(line.what.call.type)) +
         (line.what.call.inPlace ? " in place" : "") + ": " + gigabytes(line.busbwGBps) +
         " GB/s bus (" + formatSeconds(line.time.mean / 1e6) + ")";
}

Result<void> printSweep(std::ostream& out, std::string_view text) {
  const json document = json::parse(text, nullptr, false);
  if (!document.is_object()) {
    return Error(ErrorCode::kCorrupt, "rank 0 gave no result: its output is not JSON");
  }
  using report::Align;
  report::Table table({{"operation"},
                       {"type"},
                       {"place"},
                       {"size", Align::kRight},
                       {"time", Align::kRight},
                       {"95 %", Align::kRight},
                       {"p99", Align::kRight},
                       {"algbw GB/s", Align::kRight},
                       {"busbw GB/s", Align::kRight},
                       {"wrong", Align::kRight}});
  try {
    for (const auto& line : document.at("lines")) addLine(table, line);
    table.print(out, report::detectStyle(STDOUT_FILENO, report::processEnvironment));
    const auto& backend = document.at("backend");
    out << document.at("ranks").get<int>() << " ranks, backend "
        << backend.at("name").get<std::string>() << " " << backend.at("version").get<std::string>();
    for (const auto& transport : backend.at("transports")) {
      out << ", " << transport.get<std::string>();
    }
    out << '\n';
    for (const auto& note : document.at("notes"))
      out << "note: " << note.get<std::string>() << '\n';
    if (document.at("verified").get<bool>()) out << "data: every byte of every line verified\n";
  } catch (const json::exception& error) {
    return Error(ErrorCode::kCorrupt, std::string("rank 0's result: ") + error.what());
  }
  return {};
}

void printComparison(std::ostream& out, const bench::Comparison& comparison) {
  using report::Align;
  report::Table table({{"line"},
                       {"before", Align::kRight},
                       {"after", Align::kRight},
                       {"change", Align::kRight},
                       {"p", Align::kRight},
                       {"verdict"}});
  for (const auto& line : comparison.lines) {
    table.addRow({line.key, formatSeconds(line.beforeUs / 1e6), formatSeconds(line.afterUs / 1e6),
                  (line.ratio >= 1 ? "+" : "") + fixed((line.ratio - 1) * 100, 1) + " %",
                  line.p < 0.0001 ? "<0.0001" : fixed(line.p, 4),
                  std::string(bench::changeName(line.change))});
  }
  table.print(out, report::detectStyle(STDOUT_FILENO, report::processEnvironment));
  for (const auto& key : comparison.missing) out << "only in one of them: " << key << '\n';
  const auto undecided = static_cast<std::size_t>(
      std::count_if(comparison.lines.begin(), comparison.lines.end(),
                    [](const auto& line) { return line.change == bench::Change::kUndecided; }));
  out << comparison.slower << " slower, " << comparison.faster << " faster, "
      << comparison.lines.size() - comparison.slower - comparison.faster - undecided
      << " without a real difference";
  if (undecided > 0) out << ", " << undecided << " undecided: too few samples";
  out << '\n';
}

std::string oneLine(std::string_view text) {
  return json::parse(text, nullptr, false).dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace railhead::app
