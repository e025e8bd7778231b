#include "src/nccl/debug_log.h"

#include <cerrno>
#include <cstdlib>

namespace railhead::nccl {

std::map<std::string, std::string> debugLogEnvironment(const DebugLog& log) {
  return {
      {"NCCL_DEBUG", "INFO"}, {"NCCL_DEBUG_FILE", log.file}, {"NCCL_DEBUG_SUBSYS", log.subsystems}};
}

Result<void> applyDebugLog(const DebugLog& log) {
  for (const auto& [name, value] : debugLogEnvironment(log)) {
    if (::setenv(name.c_str(), value.c_str(), 1) != 0)
      return Error::fromErrno(errno, "set " + name);
  }
  return {};
}

}  // namespace railhead::nccl
