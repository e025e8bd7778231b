#include "src/report/html/page_template.h"

#include "src/report/html/assets.h"
#include "src/report/terminal/text_width.h"

#include <cstdlib>
#include <map>
#include <sstream>

namespace railhead::report {
namespace {

using Values = std::map<std::string_view, std::string>;

// In JSON these characters stand inside strings only, where the escape means the same. Without
// them no text can end the script element or open a comment in it.
std::string escapedJson(std::string_view json) {
  std::string escaped;
  escaped.reserve(json.size());
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

// Class of the verdict's box and the sign in it: a tick, a dash, a cross.
std::string_view toneName(PageTone tone) {
  return tone == PageTone::kGood ? "good" : tone == PageTone::kOpen ? "open" : "bad";
}
std::string_view markOf(PageTone tone) {
  return tone == PageTone::kGood   ? "M12 20.5l5.5 5.5L28.5 14.5"
         : tone == PageTone::kOpen ? "M12.5 20h15"
                                   : "M14 14l12 12M26 14L14 26";
}

}  // namespace

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

std::string escapedLines(const std::string& text) {
  std::istringstream lines(text);
  std::string escaped;
  for (std::string line; std::getline(lines, line);) escaped += escapedText(line) + "\n";
  return escaped;
}

std::string_view pageAsset(std::string_view name) {
  for (const auto& file : pageAssets()) {
    if (file.name == name) return file.content;
  }
  std::abort();
}

std::string filledPage(const PageContent& content) {
  return filled(pageAsset("page.html"), {{"title", escapedText(content.title)},
                                         {"style", content.style},
                                         {"tone", std::string(toneName(content.tone))},
                                         {"mark", std::string(markOf(content.tone))},
                                         {"headline", escapedText(content.headline)},
                                         {"sentence", escapedText(content.sentence)},
                                         {"fallback", escapedLines(content.fallback)},
                                         {"data", escapedJson(content.json)},
                                         {"script", content.script}});
}

}  // namespace railhead::report
