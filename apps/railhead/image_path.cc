#include "apps/railhead/image_path.h"

#include <filesystem>

namespace railhead::app {

std::string imagePath(const std::string& asked, const std::string& program) {
  std::error_code ignored;
  if (!asked.empty()) return std::filesystem::absolute(asked, ignored).string();
  const auto prefix = std::filesystem::path(program).parent_path().parent_path();
  const auto built = prefix / "lab" / "image";
  if (std::filesystem::exists(built, ignored)) return built.string();
  const auto installed = prefix / "share" / "railhead" / "lab-image";
  return std::filesystem::exists(installed, ignored) ? installed.string() : built.string();
}

}  // namespace railhead::app
