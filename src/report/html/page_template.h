// The frame that every page shares, and what keeps a stranger's text from becoming part of it.
// Pure; thread-safe.
#pragma once

#include <string>
#include <string_view>

namespace railhead::report {

// Text for between tags or in a quoted attribute. Control characters and broken UTF-8 as
// printable() leaves them.
std::string escapedText(std::string_view text);
// The same line by line: the line breaks survive.
std::string escapedLines(const std::string& text);

// One of pageAssets() by its name; a name that is not there ends the program.
std::string_view pageAsset(std::string_view name);

enum class PageTone { kGood, kOpen, kBad };

// What the frame shows. `style`, `script` and `json` go in as they are but for what could end their
// element in `json`; every other text is escaped here.
struct PageContent {
  std::string title;
  PageTone tone = PageTone::kOpen;
  std::string headline;
  std::string sentence;
  std::string fallback;  // for a reader without scripts
  std::string json;      // read by the scripts
  std::string style;
  std::string script;
};

// One page that needs nothing else. A content-security policy in it forbids it to load anything.
std::string filledPage(const PageContent& content);

}  // namespace railhead::report
