#include "apps/railhead/verify_output.h"

#include "src/report/terminal/style.h"
#include "src/report/terminal/table.h"

#include <cstdio>
#include <ostream>

#include <nlohmann/json.hpp>
#include <unistd.h>

namespace railhead::app {
namespace {

using nlohmann::json;

std::string number(double value, const char* format) {
  char text[48];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

report::Ink inkOf(const std::string& verdict) {
  if (verdict == "gdr") return report::Ink::kGood;
  if (verdict == "sockets" || verdict == "mixed" || verdict == "host-staged-misconfigured") {
    return report::Ink::kBad;
  }
  return report::Ink::kStrong;
}

std::string rankName(const json& document, int rank) {
  const auto& account = document.at("ranks").at(static_cast<std::size_t>(rank));
  const std::string node = account.at("node").get<std::string>();
  return "rank " + std::to_string(rank) + (node.empty() ? "" : " (" + node + ")");
}

void printDirection(std::ostream& out, const json& document, const json& direction,
                    const report::TerminalStyle& style) {
  const std::string verdict = direction.at("verdict").get<std::string>();
  const int from = direction.at("from").get<int>();
  const auto& sender = document.at("ranks").at(static_cast<std::size_t>(from));
  out << '\n'
      << rankName(document, from) << " -> " << rankName(document, direction.at("to").get<int>())
      << ": " << style.paint(inkOf(verdict), verdict) << ", "
      << number(sender.at("gbps").get<double>(), "%.3g") << " Gb/s";
  if (!direction.at("share").is_null()) {
    out << ", " << number(direction.at("share").get<double>() * 100, "%.0f") << " % of "
        << number(sender.at("ceiling_gbps").get<double>(), "%.3g") << " Gb/s ("
        << sender.at("ceiling_explanation").get<std::string>() << ")";
  }
  out << "\n  because: " << direction.at("reason").get<std::string>() << " ("
      << direction.at("rule").get<std::string>() << ")\n";
  for (const auto& finding : direction.at("findings")) {
    out << "  finding: " << finding.at("text").get<std::string>() << '\n';
  }
  for (const auto& remedy : direction.at("remedies")) {
    out << "  remedy:  " << remedy.get<std::string>() << '\n';
  }
  report::Table table({{"evidence"}, {"supports"}, {"value"}, {"read from"}});
  for (const auto& piece : direction.at("evidence")) {
    table.addRow({piece.at("what").get<std::string>(), piece.at("supports").get<std::string>(),
                  piece.at("value").get<std::string>(), piece.at("where").get<std::string>()});
  }
  table.print(out, style);
}

}  // namespace

Result<void> printVerify(std::ostream& out, std::string_view text) {
  const json document = json::parse(text, nullptr, false);
  if (!document.is_object()) {
    return Error(ErrorCode::kCorrupt, "rank 0 gave no result: its output is not JSON");
  }
  const auto style = report::detectStyle(STDOUT_FILENO, report::processEnvironment);
  try {
    const std::string verdict = document.at("verdict").get<std::string>();
    out << "verdict: " << style.paint(inkOf(verdict), verdict) << '\n';
    for (const auto& direction : document.at("directions")) {
      printDirection(out, document, direction, style);
    }
    std::uint64_t checked = 0;
    for (const auto& rank : document.at("ranks")) {
      checked += rank.at("bytes_checked").get<std::uint64_t>();
    }
    out << "\ndata: " << checked << " bytes compared at their destination\n";
    for (const auto& failure : document.at("failures")) {
      out << "not as expected: " << failure.get<std::string>() << '\n';
    }
  } catch (const json::exception& error) {
    return Error(ErrorCode::kCorrupt, std::string("rank 0's result: ") + error.what());
  }
  return {};
}

}  // namespace railhead::app
