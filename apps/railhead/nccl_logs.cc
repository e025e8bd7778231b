#include "apps/railhead/nccl_logs.h"

#include "src/os/filesystem.h"

#include <filesystem>

namespace railhead::app {
namespace {

constexpr std::size_t kMaxLog = 256 << 20;

}  // namespace

Result<void> readNcclLogs(const std::vector<std::string>& paths, verify::NcclLog& log) {
  RAILHEAD_TRY_ASSIGN(const auto files, os::RootedFilesystem::open("/"));
  for (const auto& path : paths) {
    std::error_code failed;
    const std::string whole = std::filesystem::absolute(path, failed).string();
    if (failed) return Error(ErrorCode::kIo, "--log " + path + ": " + failed.message());
    RAILHEAD_TRY_ASSIGN(const auto text, files->readFile(whole, kMaxLog));
    verify::NcclLogStream stream(log);
    stream.feed(text);
    stream.end();
  }
  return {};
}

}  // namespace railhead::app
