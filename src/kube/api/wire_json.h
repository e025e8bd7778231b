// What the API server answers, read from JSON. Untrusted: bounded in depth, never throws. Pure.
// Private to src/kube/api and its fuzz test.
#pragma once

#include "src/kube/api/api_server.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::kube {

struct ListPage {
  std::vector<std::string> objects;
  std::string resourceVersion;
  std::string continueToken;  // empty: the last page
};
// kCorrupt.
Result<ListPage> parseListPage(std::string_view text);

struct WatchLine {
  std::optional<WatchEvent> event;
  int errorStatus = 0;  // of an ERROR event
  std::string errorMessage;
};
// kCorrupt.
Result<WatchLine> parseWatchLine(std::string_view line);

// The message of a Status object, shortened; of anything else its beginning.
std::string statusMessage(std::string_view body);
// Its reason ("AlreadyExists"); empty when it has none.
std::string statusReason(std::string_view body);

// One JSON object; kCorrupt otherwise.
Result<std::string> checkedObject(std::string text);

}  // namespace railhead::kube
