#include "src/report/html/html.h"

#include "src/report/html/assets.h"
#include "src/report/model/json.h"

#include <fstream>
#include <regex>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::report {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Report reportFrom(const std::string& name) {
  std::ifstream file("tests/fixtures/report/" + name);
  std::stringstream text;
  text << file.rdbuf();
  auto report = fromJson(text.str());
  EXPECT_TRUE(report.has_value()) << name;
  return report.has_value() ? *report : Report{};
}

std::string between(const std::string& text, const std::string& from, const std::string& to) {
  const auto start = text.find(from);
  EXPECT_NE(start, std::string::npos) << from;
  if (start == std::string::npos) return {};
  const auto end = text.find(to, start + from.size());
  return text.substr(start + from.size(), end - start - from.size());
}

std::size_t countOf(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

const std::string kDataOpen = R"(<script type="application/json" id="report-data">)";

TEST(Html, SaysTheVerdictWithoutAnyScript) {
  const std::string page = toHtml(reportFrom("two_sparks.json"));
  EXPECT_THAT(page, HasSubstr("RDMA verified<span class=\"colon\">: </span>"));
  EXPECT_THAT(page, HasSubstr("every byte arrived over both rails, 1.93 × one rail, 94 % of the "
                              "ceiling"));
  EXPECT_THAT(page, HasSubstr("<title>RDMA verified · Railhead demo report</title>"));
  EXPECT_THAT(between(page, "<noscript>", "</noscript>"), HasSubstr("10.42.1.5/24"));
  EXPECT_THAT(page, Not(HasSubstr("{{")));
}

TEST(Html, CarriesTheWholeReport) {
  const Report report = reportFrom("two_sparks.json");
  const auto back = fromJson(between(toHtml(report), kDataOpen, "</script>"));
  ASSERT_TRUE(back.has_value()) << back.error().describe();
  EXPECT_EQ(*back, report);
}

TEST(Html, NeedsNothingFromOutside) {
  const std::string page = toHtml(reportFrom("two_sparks.json"));
  EXPECT_THAT(page, HasSubstr("default-src 'none'"));
  // The one address in the page is the name of the SVG namespace.
  std::string rest = page;
  const std::string svg = "http://www.w3.org/2000/svg";
  for (auto at = rest.find(svg); at != std::string::npos; at = rest.find(svg)) {
    rest.erase(at, svg.size());
  }
  EXPECT_FALSE(std::regex_search(rest, std::regex("https?://|url\\(|@import|\\bsrc=|fetch\\(")));
  EXPECT_EQ(countOf(page, "href="), 1U);
  EXPECT_THAT(page, HasSubstr("href=\"data:,\""));
}

TEST(Html, LetsNoNameBecomeMarkup) {
  const std::string attack = "</script><script>alert(1)</script><!--<script>\"'&{{style}}";
  Report report = reportFrom("two_sparks.json");
  const std::size_t scripts = countOf(toHtml(report), "<script");
  report.nodes[0].name = attack;
  report.pods[0].name = attack;
  report.topology.links[0].name = attack;
  report.result = {.ok = false, .failedStep = attack, .error = attack, .logs = {attack}};
  const std::string page = toHtml(report);
  EXPECT_EQ(countOf(page, "<script"), scripts);
  EXPECT_EQ(countOf(page, "</script"), scripts);
  EXPECT_EQ(countOf(page, "<!--"), 0U);
  EXPECT_EQ(countOf(page, "<style"), 1U);
  EXPECT_THAT(between(page, "<title>", "</title>"), HasSubstr("&lt;/script&gt;"));
  EXPECT_THAT(between(page, "<h1>", "</h1>"), HasSubstr("&quot;&#39;&amp;{{style}}"));
  EXPECT_EQ(*fromJson(between(page, kDataOpen, "</script>")), report);
}

TEST(Html, KeepsControlCharactersAndBrokenTextOutOfItsMarkup) {
  Report report;
  report.result.error = "a\x1b[31mb\xff\u202e";
  const std::string headline = between(toHtml(report), "<h1>", "</h1>");
  EXPECT_THAT(headline, HasSubstr("ab\xef\xbf\xbd "));
  EXPECT_THAT(headline, Not(HasSubstr("\x1b")));
}

TEST(Html, OfAFailedRunIsBad) {
  const std::string page = toHtml(reportFrom("failed_boot.json"));
  EXPECT_THAT(page, HasSubstr("class=\"verdict bad\""));
  EXPECT_THAT(page, HasSubstr("Stopped at “Boot two nodes”"));
}

TEST(Html, IsMadeOfFilesThatCannotEndTheirElement) {
  ASSERT_GE(pageAssets().size(), 3U);
  EXPECT_EQ(pageAssets()[0].name, "page.html");
  for (const auto& file : pageAssets()) {
    const std::string content(file.content);
    EXPECT_FALSE(content.empty()) << file.name;
    if (file.name == "page.html") continue;
    EXPECT_EQ(countOf(content, "</"), 0U) << file.name;
    EXPECT_EQ(countOf(content, "<!--"), 0U) << file.name;
    EXPECT_EQ(countOf(content, "innerHTML"), 0U) << file.name;
  }
}

}  // namespace
}  // namespace railhead::report
