#include "src/kube/resource_name.h"

#include "src/base/text.h"

#include <algorithm>
#include <string>

namespace railhead::kube {
namespace {

bool isLetterOrDigit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool isDnsLabel(std::string_view label) {
  const auto lowerOrDigit = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return !label.empty() && label.size() <= 63 && lowerOrDigit(label.front()) &&
         lowerOrDigit(label.back()) && std::all_of(label.begin(), label.end(), [&](char c) {
           return lowerOrDigit(c) || c == '-';
         });
}

bool isDnsName(std::string_view name) {
  if (name.empty() || name.size() > 253) return false;
  const auto labels = split(name, '.');
  return std::all_of(labels.begin(), labels.end(), isDnsLabel);
}

bool isQualifiedPart(std::string_view name) {
  return !name.empty() && name.size() <= 63 && isLetterOrDigit(name.front()) &&
         isLetterOrDigit(name.back()) && std::all_of(name.begin(), name.end(), [](char c) {
           return isLetterOrDigit(c) || c == '-' || c == '_' || c == '.';
         });
}

}  // namespace

Result<void> checkResourceName(std::string_view name) {
  const auto slash = name.find('/');
  const auto prefix = name.substr(0, slash);
  const bool sound = slash != std::string_view::npos && isDnsName(prefix) &&
                     isQualifiedPart(name.substr(slash + 1)) && prefix != "kubernetes.io" &&
                     !prefix.ends_with(".kubernetes.io") && !prefix.starts_with("requests.");
  if (sound) return {};
  return Error(ErrorCode::kInvalidArgument,
               "resource name " + inQuotes(name) +
                   ": an extended resource is a domain outside kubernetes.io, '/', and at most 63 "
                   "letters, digits, '-', '_' or '.'",
               "use a name like nvidia.com/cx7_qsfp");
}

}  // namespace railhead::kube
