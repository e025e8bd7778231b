// A request is judged from whatever of it has come so far.
#include "src/metrics/http_request.h"
#include "tests/fuzz/promise.h"
#include "tests/fuzz/targets.h"

namespace railhead::fuzz {

bool httpRequest(std::string_view input) {
  constexpr std::size_t kMaxBytes = 512;
  const auto request = metrics::readHttpRequest(input, kMaxBytes);
  must(request.has_value() || input.size() <= kMaxBytes, "nobody sends without end");
  if (!request) return false;
  must(request->refusal == 0 || !metrics::httpReason(request->refusal).empty(),
       "a refusal has a status that HTTP knows");
  must(request->refusal != 0 || request->path.starts_with('/'), "a path begins with a slash");
  must(request->path.size() <= kMaxBytes, "a path is bounded");
  return request->refusal == 0;
}

}  // namespace railhead::fuzz
