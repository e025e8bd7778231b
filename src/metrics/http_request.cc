#include "src/metrics/http_request.h"

#include <algorithm>

namespace railhead::metrics {
namespace {

HttpRequest refused(int status) { return {status, false, {}}; }

bool isTarget(std::string_view text) {
  return text.starts_with('/') && std::all_of(text.begin(), text.end(),
                                              [](unsigned char c) { return c > 0x20 && c < 0x7f; });
}

bool isMethod(std::string_view text) {
  return !text.empty() && text.size() <= 16 &&
         std::all_of(text.begin(), text.end(),
                     [](unsigned char c) { return c >= 'A' && c <= 'Z'; });
}

HttpRequest readRequestLine(std::string_view line) {
  const auto first = line.find(' ');
  const auto last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) return refused(400);
  const auto method = line.substr(0, first);
  const auto target = line.substr(first + 1, last - first - 1);
  const auto version = line.substr(last + 1);
  if (!isMethod(method) || !isTarget(target)) return refused(400);
  if (!version.starts_with("HTTP/")) return refused(400);
  if (version != "HTTP/1.1" && version != "HTTP/1.0") return refused(505);
  if (method != "GET" && method != "HEAD") return refused(405);
  return {0, method == "HEAD", std::string(target.substr(0, target.find('?')))};
}

}  // namespace

std::optional<HttpRequest> readHttpRequest(std::string_view text, std::size_t maxBytes) {
  const auto end = text.find("\r\n\r\n");
  if (end == std::string_view::npos || end > maxBytes) {
    if (text.size() > maxBytes) return refused(431);
    // What cannot become a request line is not waited for.
    const auto begin = text.substr(0, 16);
    const bool letters = std::all_of(begin.begin(), std::find(begin.begin(), begin.end(), ' '),
                                     [](unsigned char c) { return c >= 'A' && c <= 'Z'; });
    if (!letters) return refused(400);
    return std::nullopt;
  }
  return readRequestLine(text.substr(0, text.find("\r\n")));
}

std::string_view httpReason(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 431:
      return "Request Header Fields Too Large";
    case 503:
      return "Service Unavailable";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Status";
  }
}

}  // namespace railhead::metrics
