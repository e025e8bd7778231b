// Inside src/metrics only: what one HTTP request asks, judged without answering it. Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace railhead::metrics {

struct HttpRequest {
  int refusal = 0;    // status to refuse it with; 0: to be answered
  bool head = false;  // the answer has no body
  std::string path;   // "/metrics"
};

// `text`: what came so far. Nothing while the end of the headers has not come and `maxBytes` is not
// passed.
std::optional<HttpRequest> readHttpRequest(std::string_view text, std::size_t maxBytes);

std::string_view httpReason(int status);  // "Not Found"

}  // namespace railhead::metrics
