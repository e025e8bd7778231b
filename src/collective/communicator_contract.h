// What every Communicator promises, as test bodies: run over each backend, with ranks as threads.
#pragma once

#include "src/collective/communicator.h"

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace railhead::collective {

// Gives this rank's text to all ranks and returns everybody's, in order (Group::gather).
using Gather = std::function<Result<std::vector<std::string>>(const std::string& own)>;

// Ranks as threads that tell each other texts. Thread-safe.
class Meeting {
 public:
  explicit Meeting(int ranks) : ranks_(static_cast<std::size_t>(ranks)), texts_(ranks_) {}
  // Ends when every rank has called it.
  Result<std::vector<std::string>> gather(int rank, const std::string& own);

 private:
  std::size_t ranks_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> texts_;
  std::vector<std::string> complete_;
  std::size_t arrived_ = 0;
  std::size_t round_ = 0;
};

// Connects one rank; called on that rank's thread.
using ConnectRank =
    std::function<Result<std::unique_ptr<Communicator>>(int rank, int ranks, const Gather& gather)>;

// Call each from a TEST; they use EXPECT and ASSERT.
// Every operation with every type, in place and not, checks at the last byte.
void checkEveryCall(const ConnectRank& connect, int ranks);
// A check finds what is wrong, and where.
void checkThatChecksFind(const ConnectRank& connect);
// Many calls, one wait.
void checkCallsInARow(const ConnectRank& connect);
// A call that the others do not make ends at the deadline, and nothing hangs afterwards.
void checkDeadline(const ConnectRank& connect);
// abort() from another thread ends a wait.
void checkAbort(const ConnectRank& connect);
// A call that cannot be is refused, and the next one works.
void checkRefusals(const ConnectRank& connect);

}  // namespace railhead::collective
