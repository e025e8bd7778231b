#include "lab/guest/modules.h"

#include "src/base/text.h"
#include "src/os/unique_fd.h"

#include <cerrno>
#include <fstream>
#include <sstream>

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace railhead::lab {

Result<std::vector<ModuleEntry>> parseModuleList(std::string_view text) {
  std::vector<ModuleEntry> entries;
  for (std::string_view line : split(text, '\n')) {
    line = trim(line);
    if (line.empty()) continue;
    const std::size_t space = line.find(' ');
    ModuleEntry entry;
    entry.path = line.substr(0, space);
    if (space != std::string_view::npos) entry.parameters = trim(line.substr(space));
    if (entry.path.starts_with('/') || entry.path.find("..") != std::string::npos ||
        !entry.path.ends_with(".ko")) {
      return Error(ErrorCode::kCorrupt,
                   "module list: " + inQuotes(line) + "; allowed are relative paths of .ko files",
                   "rebuild the lab image");
    }
    entries.push_back(std::move(entry));
  }
  return entries;
}

Result<void> loadModules(const std::string& folder, const std::string& listName) {
  const std::string listPath = folder + "/" + listName;
  std::ifstream list(listPath);
  if (!list) return Error::fromErrno(errno, "open " + listPath);
  std::ostringstream text;
  text << list.rdbuf();
  RAILHEAD_TRY_ASSIGN(const auto entries, parseModuleList(text.str()).addContext(listPath));
  for (const ModuleEntry& entry : entries) {
    const std::string path = folder + "/" + entry.path;
    const os::UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) return Error::fromErrno(errno, "open " + path);
    if (::syscall(SYS_finit_module, file.get(), entry.parameters.c_str(), 0) != 0 &&
        errno != EEXIST) {
      return Error::fromErrno(errno, "load " + path);
    }
  }
  return {};
}

}  // namespace railhead::lab
