#include "src/kube/api/request_target.h"

#include "src/base/text.h"

namespace railhead::kube {
namespace {

constexpr std::size_t kMaxName = 253;

bool isLetterOrDigit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

Result<void> checkPart(std::string_view what, std::string_view part) {
  bool good = !part.empty() && part.size() <= kMaxName && isLetterOrDigit(part.front());
  for (const char c : part) good = good && (isLetterOrDigit(c) || c == '-' || c == '.' || c == '_');
  if (good) return {};
  return Error(ErrorCode::kInvalidArgument,
               std::string(what) + " is " + inQuotes(part) +
                   "; allowed: 1 to 253 letters, digits, '-', '.' and '_'");
}

std::string escaped(std::string_view text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    if (isLetterOrDigit(c) || c == '-' || c == '.' || c == '_' || c == '~') {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return out;
}

}  // namespace

std::string Collection::toString() const {
  std::string text = plural;
  if (!group.empty()) text += "." + group;
  if (!podNamespace.empty()) text += " in namespace " + podNamespace;
  return text;
}

Result<std::string> collectionTarget(const Collection& collection, const Query& query) {
  RAILHEAD_TRY(checkPart("version", collection.version));
  RAILHEAD_TRY(checkPart("resource", collection.plural));
  std::string target;
  if (collection.group.empty()) {
    target = "/api/" + collection.version;
  } else {
    RAILHEAD_TRY(checkPart("group", collection.group));
    target = "/apis/" + collection.group + "/" + collection.version;
  }
  if (!collection.podNamespace.empty()) {
    RAILHEAD_TRY(checkPart("namespace", collection.podNamespace));
    target += "/namespaces/" + collection.podNamespace;
  }
  target += "/" + collection.plural;
  char separator = '?';
  for (const auto& [key, value] : query) {
    target += separator + key + "=" + escaped(value);
    separator = '&';
  }
  return target;
}

Result<std::string> objectTarget(const ObjectName& name, std::string_view subresource) {
  RAILHEAD_TRY_ASSIGN(std::string target, collectionTarget(name.collection));
  RAILHEAD_TRY(checkPart("name", name.name));
  target += "/" + name.name;
  if (!subresource.empty()) {
    RAILHEAD_TRY(checkPart("subresource", subresource));
    target += "/" + std::string(subresource);
  }
  return target;
}

}  // namespace railhead::kube
