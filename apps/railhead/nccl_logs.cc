#include "apps/railhead/nccl_logs.h"

#include "apps/railhead/user_files.h"

#include <algorithm>

namespace railhead::app {
namespace {

constexpr std::size_t kMaxLog = 256 << 20;

}  // namespace

Result<void> readNcclLogs(const std::vector<std::string>& paths, verify::NcclLog& log,
                          std::vector<std::string>* silent) {
  for (auto path = paths.begin(); path != paths.end(); ++path) {
    if (std::find(paths.begin(), path, *path) != path)
      return Error(ErrorCode::kInvalidArgument, "--log " + *path + " is named twice",
                   "name each rank's log once");
  }
  for (const auto& path : paths) {
    const auto before = log.statistics().messages;
    verify::NcclLogStream stream(log);
    std::size_t size = 0;
    RAILHEAD_TRY(readPieces(path, [&](std::string_view piece) -> Result<void> {
                   size += piece.size();
                   if (size > kMaxLog)
                     return Error(ErrorCode::kInvalidArgument,
                                  path + " is longer than the 256 MiB allowed",
                                  "give the lines of NCCL's alone: grep NCCL");
                   stream.feed(piece);
                   return {};
                 }).addContext("--log"));
    stream.end();
    if (silent != nullptr && log.statistics().messages == before) silent->push_back(path);
  }
  return {};
}

}  // namespace railhead::app
