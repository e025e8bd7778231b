#include "src/conflist/folder.h"

#include <algorithm>

namespace railhead::conflist {

const FolderFile* FolderPicture::find(std::string_view name) const {
  const auto found = std::find_if(files.begin(), files.end(),
                                  [&](const FolderFile& file) { return file.name == name; });
  return found == files.end() ? nullptr : &*found;
}

const FolderFile* FolderPicture::primary(std::string_view ours, std::string_view wanted) const {
  for (const FolderFile& file : files) {
    if (file.name == ours || !file.configuration) continue;
    if (wanted.empty() || file.name == wanted) return &file;
  }
  return nullptr;
}

Result<FolderPicture> lookAtFolder(os::Filesystem& files, const std::string& folder) {
  RAILHEAD_TRY_ASSIGN(auto names, files.listDirectory(folder));
  std::erase_if(names, [](const std::string& name) { return !isConfigurationName(name); });
  std::sort(names.begin(), names.end());  // bytewise, as the runtimes sort
  if (names.size() > kMaxFiles) names.resize(kMaxFiles);
  FolderPicture picture;
  for (const std::string& name : names) {
    FolderFile file{name, "", std::nullopt, ""};
    auto text = files.readFile(folder + "/" + name, kMaxFile);
    auto read = text.has_value() ? readConfiguration(*text, isListName(name))
                                 : Result<Configuration>(text.error());
    if (read.has_value()) {
      file.text = std::move(*text);
      file.configuration = std::move(*read);
    } else if (read.error().code == ErrorCode::kNotFound) {
      continue;  // it went between the two looks
    } else {
      file.problem = read.error().message;
      file.forbidden = read.error().code == ErrorCode::kPermissionDenied;
    }
    picture.files.push_back(std::move(file));
  }
  return picture;
}

}  // namespace railhead::conflist
