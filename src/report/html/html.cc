#include "src/report/html/html.h"

#include "src/report/html/assets.h"
#include "src/report/model/json.h"
#include "src/report/model/verdict.h"
#include "src/report/terminal/summary.h"
#include "src/report/terminal/text_width.h"

#include <cstdlib>
#include <map>
#include <sstream>
#include <string_view>

namespace railhead::report {
namespace {

using Values = std::map<std::string_view, std::string>;

std::string_view asset(std::string_view name) {
  for (const auto& file : pageAssets()) {
    if (file.name == name) return file.content;
  }
  std::abort();
}

std::string escapedText(std::string_view text) {
  std::string escaped;
  for (const char c : printable(text)) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&#39;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

// In JSON these characters stand inside strings only, where the escape means the same. Without
// them no text can end the script element or open a comment in it.
std::string escapedJson(std::string_view json) {
  std::string escaped;
  for (const char c : json) {
    if (c == '<') {
      escaped += "\\u003c";
    } else if (c == '>') {
      escaped += "\\u003e";
    } else if (c == '&') {
      escaped += "\\u0026";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

// Line by line, so that the line breaks survive.
std::string fallbackText(const Report& report) {
  std::ostringstream summary;
  printSummary(summary, report, TerminalStyle{});
  std::istringstream lines(summary.str());
  std::string text;
  for (std::string line; std::getline(lines, line);) text += escapedText(line) + "\n";
  return text;
}

std::string joinedScripts() {
  std::string all;
  for (const auto& file : pageAssets()) {
    if (file.name.ends_with(".js")) all += file.content;
  }
  return all;
}

// Replaces each {{name}} once; what is put in is not looked at again.
std::string filled(std::string_view page, const Values& values) {
  std::string out;
  for (;;) {
    const auto open = page.find("{{");
    out += page.substr(0, open);
    if (open == std::string_view::npos) return out;
    const auto close = page.find("}}", open);
    if (close == std::string_view::npos) std::abort();
    const auto value = values.find(page.substr(open + 2, close - open - 2));
    if (value == values.end()) std::abort();
    out += value->second;
    page.remove_prefix(close + 2);
  }
}

}  // namespace

std::string toHtml(const Report& report) {
  const Verdict verdict = verdictOf(report);
  return filled(asset("page.html"),
                {{"title", escapedText(verdict.headline) + " · Railhead demo report"},
                 {"style", std::string(asset("page.css"))},
                 {"tone", verdict.good ? "good" : "bad"},
                 {"mark", verdict.good ? "M12 20.5l5.5 5.5L28.5 14.5" : "M14 14l12 12M26 14L14 26"},
                 {"headline", escapedText(verdict.headline)},
                 {"sentence", escapedText(verdict.sentence)},
                 {"fallback", fallbackText(report)},
                 {"data", escapedJson(toJson(report))},
                 {"script", joinedScripts()}});
}

}  // namespace railhead::report
