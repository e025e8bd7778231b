#include "src/agent/config_profile.h"

#include "src/base/text.h"

namespace railhead::agent {
namespace {

using config::Field;

// Where the plugin looks for its table by itself.
constexpr const char* kMountAt = "/etc/railhead";

bool isPlainPath(std::string_view path) {
  if (path.size() < 2 || path.front() != '/' || path.back() == '/') return false;
  for (const auto part : split(path.substr(1), '/')) {
    if (part.empty() || part == "." || part == "..") return false;
  }
  return true;
}

Result<void> readPath(const Field& field, const char* allowed, std::string& into) {
  if (!field.present()) return {};
  RAILHEAD_TRY_ASSIGN(into, field.text(allowed));
  return isPlainPath(into) ? Result<void>() : Result<void>(field.complainAllowed(allowed));
}

}  // namespace

Result<ProfileConfig> readProfileConfig(const Field& field) {
  ProfileConfig profile;
  profile.mountAt = kMountAt;
  if (!field.present()) return profile;
  RAILHEAD_TRY(field.checkKeys({"file", "plugin", "mountAt"}));
  constexpr const char* kFile = "an absolute path of a file, without '..'";
  RAILHEAD_TRY_ASSIGN(const Field file, field.required("file", kFile));
  RAILHEAD_TRY(readPath(file, kFile, profile.file));
  RAILHEAD_TRY(readPath(field.child("plugin"), kFile, profile.plugin));
  RAILHEAD_TRY(readPath(field.child("mountAt"),
                        "an absolute path of a folder in the container, without '..'",
                        profile.mountAt));
  return profile;
}

}  // namespace railhead::agent
