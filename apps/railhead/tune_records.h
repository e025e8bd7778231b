// The file of a search's records: lines of JSON, so that a search that ended early can go on.
#pragma once

#include "src/base/result.h"
#include "src/os/unique_fd.h"
#include "src/tune/records_header.h"
#include "src/tune/trial.h"

#include <string>
#include <vector>

namespace railhead::app {

inline constexpr std::size_t kMaxRecordsFile = 256 << 20;

// Of an earlier search. kNotFound; kCorrupt with the line; kInvalidArgument: it was another search
// than `own`, and in what.
Result<std::vector<tune::TrialRecord>> readRecords(const std::string& path,
                                                   const tune::RecordsHeader& own);

class RecordsFile {
 public:
  // Without a path everything is thrown away. `before` comes first; kAlreadyExists: the file holds
  // something, and is not the one resumed from.
  static Result<RecordsFile> open(const std::string& path, const std::string& resumedFrom,
                                  const tune::RecordsHeader& own,
                                  const std::vector<tune::TrialRecord>& before);
  // In the file, when it returns: this process may be killed.
  Result<void> add(const tune::TrialRecord& record);

 private:
  std::string path_;
  os::UniqueFd file_;
};

}  // namespace railhead::app
