#include "src/nccl/debug_log.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include <sys/mman.h>
#include <unistd.h>

namespace railhead::nccl {
namespace {

// NCCL opens it by its name as it opens any file.
Result<os::UniqueFd> memoryFile(const char* name) {
  os::UniqueFd fd(::memfd_create(name, MFD_CLOEXEC));
  if (!fd) return Error::fromErrno(errno, std::string("make memory for ") + name);
  return fd;
}
std::string pathOf(const std::string& proc, const os::UniqueFd& fd) {
  return proc + "/self/fd/" + std::to_string(fd.get());
}

Result<std::string> contentOf(const os::UniqueFd& fd, std::size_t most) {
  std::string out;
  std::array<char, 65536> chunk{};
  while (out.size() < most) {
    const auto want = std::min(chunk.size(), most - out.size());
    const ssize_t got = ::pread(fd.get(), chunk.data(), want, static_cast<off_t>(out.size()));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error::fromErrno(errno, "read what NCCL wrote");
    if (got == 0) break;
    out.append(chunk.data(), static_cast<std::size_t>(got));
  }
  return out;
}

Result<void> set(const std::string& name, const std::string& value) {
  if (::setenv(name.c_str(), value.c_str(), 1) != 0) return Error::fromErrno(errno, "set " + name);
  return {};
}

}  // namespace

std::map<std::string, std::string> debugLogEnvironment(const DebugLog& log) {
  return {
      {"NCCL_DEBUG", "INFO"}, {"NCCL_DEBUG_FILE", log.file}, {"NCCL_DEBUG_SUBSYS", log.subsystems}};
}

Result<void> applyDebugLog(const DebugLog& log) {
  for (const auto& [name, value] : debugLogEnvironment(log)) RAILHEAD_TRY(set(name, value));
  return {};
}

Result<CapturedLog> CapturedLog::begin(int rank, const std::string& proc) {
  RAILHEAD_TRY_ASSIGN(auto log, memoryFile("nccl-log"));
  RAILHEAD_TRY_ASSIGN(auto topology, memoryFile("nccl-topology"));
  DebugLog where;
  where.file = pathOf(proc, log);
  RAILHEAD_TRY(applyDebugLog(where));
  RAILHEAD_TRY(set("NCCL_TOPO_DUMP_FILE", pathOf(proc, topology)));
  RAILHEAD_TRY(set("NCCL_TOPO_DUMP_FILE_RANK", std::to_string(rank)));
  return CapturedLog(std::move(log), std::move(topology));
}

Result<std::string> CapturedLog::log(std::size_t most) const { return contentOf(log_, most); }
Result<std::string> CapturedLog::topology(std::size_t most) const {
  return contentOf(topology_, most);
}

}  // namespace railhead::nccl
