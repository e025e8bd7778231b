#include "lab/node/lab_image.h"

#include "src/base/text.h"

#include <nlohmann/json.hpp>

namespace railhead::lab {
namespace {

constexpr std::string_view kBuildIt = "build it: ./dev build";

Result<std::string> kernelReleaseOf(const std::string& text, const std::string& path) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (json.is_object() && json.contains("kernel") && json["kernel"].is_string()) {
    return json["kernel"].get<std::string>();
  }
  return Error(ErrorCode::kEnvironment, path + " does not say which kernel the image has",
               std::string(kBuildIt));
}

}  // namespace

Result<LabImage> openLabImage(os::Filesystem& files, const std::string& directory) {
  LabImage image;
  image.directory = directory;
  image.kernelFile = directory + "/kernel";
  image.initramfsFile = directory + "/initramfs.cpio";
  image.rootFile = directory + "/root.erofs";
  const std::string description = directory + "/image.json";
  for (const auto& path : {description, image.kernelFile, image.initramfsFile, image.rootFile}) {
    if (!files.exists(path)) {
      return Error(ErrorCode::kEnvironment, "the lab image is missing: no " + path,
                   std::string(kBuildIt));
    }
  }
  RAILHEAD_TRY_ASSIGN(const std::string text, files.readFile(description));
  RAILHEAD_TRY_ASSIGN(image.kernelRelease, kernelReleaseOf(text, description));
  const auto major = parseUnsigned(split(image.kernelRelease, '.').front());
  if (!major || *major < LabImage::kMinimumKernel) {
    return Error(ErrorCode::kEnvironment,
                 "the lab image has kernel " + inQuotes(image.kernelRelease) +
                     "; allowed: 7 or newer, older ones cannot do RoCE in a pod",
                 "./dev setup, then ./dev build");
  }
  return image;
}

}  // namespace railhead::lab
