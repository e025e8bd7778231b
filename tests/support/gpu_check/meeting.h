// Ranks that tell each other texts through files of one folder: for a test on one machine.
#pragma once

#include "src/base/result.h"

#include <chrono>
#include <string>
#include <vector>

namespace railhead::testing_support {

class Meeting {
 public:
  Meeting(std::string folder, int rank, int ranks)
      : folder_(std::move(folder)), rank_(rank), ranks_(ranks) {}
  // Everybody's text, in the order of ranks. kDeadlineExceeded after a minute.
  Result<std::vector<std::string>> gather(const std::string& own);

 private:
  std::string path(int round, int rank) const;

  std::string folder_;
  int rank_;
  int ranks_;
  int round_ = 0;
};

}  // namespace railhead::testing_support
