#include "src/cni/names.h"

#include "src/base/text.h"

#include <algorithm>

namespace railhead::cni {
namespace {

constexpr std::size_t kMaxSpecName = 128;
constexpr std::size_t kMaxInterfaceName = 15;  // IFNAMSIZ - 1

Error invalid(std::string_view field, std::string_view value, std::string_view allowed) {
  return Error(ErrorCode::kInvalidArgument,
               std::string(field) + " is " + inQuotes(value) + ": " + std::string(allowed));
}

bool isAlphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

}  // namespace

Result<void> checkSpecName(std::string_view name, std::string_view field) {
  const bool good = !name.empty() && name.size() <= kMaxSpecName && isAlphanumeric(name.front()) &&
                    std::all_of(name.begin(), name.end(), [](char c) {
                      return isAlphanumeric(c) || c == '_' || c == '.' || c == '-';
                    });
  if (good) return {};
  return invalid(field, name,
                 "1 to 128 letters, digits, '_', '.', '-', beginning with a letter or digit");
}

Result<void> checkInterfaceName(std::string_view name, std::string_view field) {
  const bool characters = std::all_of(name.begin(), name.end(), [](char c) {
    return c > ' ' && c != 0x7f && c != '/' && c != ':' && c != '%';
  });
  if (!name.empty() && name.size() <= kMaxInterfaceName && name != "." && name != ".." &&
      characters) {
    return {};
  }
  return invalid(field, name, "1 to 15 printable characters without '/', ':', '%' and spaces");
}

std::string attachmentKey(const std::string& containerId, const std::string& ifname) {
  return containerId + "@" + ifname;
}

std::string attachmentRecords(const std::string& stateFolder) {
  return stateFolder + "/attachments";
}

std::string attachmentRecord(const std::string& stateFolder, const std::string& key) {
  return attachmentRecords(stateFolder) + "/" + key + ".json";
}

std::string deletionMarks(const std::string& stateFolder) { return stateFolder + "/deleted"; }

std::string deletionMark(const std::string& stateFolder, const std::string& key) {
  return deletionMarks(stateFolder) + "/" + key;
}

}  // namespace railhead::cni
