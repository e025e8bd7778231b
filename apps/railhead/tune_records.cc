#include "apps/railhead/tune_records.h"

#include "apps/railhead/user_files.h"
#include "src/base/text.h"

#include <cerrno>
#include <filesystem>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

namespace railhead::app {

Result<std::vector<tune::TrialRecord>> readRecords(const std::string& path,
                                                   const tune::RecordsHeader& own) {
  RAILHEAD_TRY_ASSIGN(const std::string text, readText(path, kMaxRecordsFile));
  RAILHEAD_TRY_ASSIGN(const auto records, tune::checkHeader(text, own, path));
  return tune::decodeRecords(records, path, 2);
}

Result<RecordsFile> RecordsFile::open(const std::string& path, const std::string& resumedFrom,
                                      const tune::RecordsHeader& own,
                                      const std::vector<tune::TrialRecord>& before) {
  RecordsFile out;
  if (path.empty()) return out;
  std::error_code ignored;
  const bool holdsMore = std::filesystem::file_size(path, ignored) > 0 && !ignored;
  if (holdsMore && !std::filesystem::equivalent(path, resumedFrom, ignored)) {
    return Error(ErrorCode::kAlreadyExists,
                 "--records " + inQuotes(path) + ": it holds the records of another search",
                 "go on with them by --resume, or name another file");
  }
  std::string text = tune::encodeHeader(own);
  for (const auto& record : before) text += tune::encode(record);
  RAILHEAD_TRY(writeText(path, text).addContext("--records"));
  out.path_ = path;
  out.file_.reset(::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
  if (!out.file_) return Error::fromErrno(errno, "open " + path);
  return out;
}

Result<void> RecordsFile::add(const tune::TrialRecord& record) {
  if (!file_) return {};
  const std::string line = tune::encode(record);
  const ssize_t put = ::write(file_.get(), line.data(), line.size());
  if (put < 0) return Error::fromErrno(errno, "write to " + path_);
  if (std::cmp_equal(put, line.size())) return {};
  return Error(ErrorCode::kExhausted, "no room for a record in " + path_);
}

}  // namespace railhead::app
