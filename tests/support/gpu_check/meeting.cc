#include "tests/support/gpu_check/meeting.h"

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <thread>

namespace railhead::testing_support {

std::string Meeting::path(int round, int rank) const {
  return folder_ + "/" + std::to_string(round) + "-" + std::to_string(rank);
}

Result<std::vector<std::string>> Meeting::gather(const std::string& own) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  const int round = round_++;
  const std::string mine = path(round, rank_);
  std::ofstream(mine + ".new", std::ios::binary) << own;
  if (std::rename((mine + ".new").c_str(), mine.c_str()) != 0)
    return Error::fromErrno(errno, "write " + mine);
  std::vector<std::string> out;
  while (out.size() < static_cast<std::size_t>(ranks_)) {
    std::ifstream in(path(round, static_cast<int>(out.size())), std::ios::binary);
    if (in) {
      out.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
    } else if (std::chrono::steady_clock::now() >= deadline) {
      return Error(ErrorCode::kDeadlineExceeded,
                   "rank " + std::to_string(out.size()) + " did not come");
    } else {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  return out;
}

}  // namespace railhead::testing_support
