#include "src/os/living_socket.h"

#include "src/os/unix_socket.h"

#include <filesystem>
#include <set>
#include <system_error>

namespace railhead::os {

std::string findLivingSocket(const std::string& folder, std::string_view prefix) {
  namespace fs = std::filesystem;
  std::set<std::string> names;
  std::error_code failed;
  for (fs::directory_iterator each(folder, failed), end; !failed && each != end;
       each.increment(failed)) {
    std::string name = each->path().filename().string();
    std::error_code ignored;
    if (name.starts_with(prefix) && each->is_socket(ignored)) names.insert(std::move(name));
  }
  for (const auto& name : names) {
    if (isListening(folder + "/" + name)) return name;
  }
  return {};
}

}  // namespace railhead::os
