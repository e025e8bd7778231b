#include "src/report/html/html.h"

#include "src/report/html/assets.h"
#include "src/report/html/page_template.h"
#include "src/report/model/json.h"
#include "src/report/model/verdict.h"
#include "src/report/terminal/summary.h"

#include <sstream>

namespace railhead::report {
namespace {

std::string fallbackText(const Report& report) {
  std::ostringstream summary;
  printSummary(summary, report, TerminalStyle{});
  return summary.str();
}

std::string joinedScripts() {
  std::string all;
  for (const auto& file : pageAssets()) {
    if (file.name.ends_with(".js")) all += file.content;
  }
  return all;
}

}  // namespace

std::string toHtml(const Report& report) {
  const Verdict verdict = verdictOf(report);
  return filledPage({.title = verdict.headline + " · Railhead demo report",
                     .tone = verdict.good ? PageTone::kGood : PageTone::kBad,
                     .headline = verdict.headline,
                     .sentence = verdict.sentence,
                     .fallback = fallbackText(report),
                     .json = toJson(report),
                     .style = std::string(pageAsset("page.css")),
                     .script = joinedScripts()});
}

}  // namespace railhead::report
