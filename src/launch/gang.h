// Starts the ranks of a gang and stops them together: when one fails, all end within seconds, and
// the reason names the rank, its node and its last lines.
//
// A rank is a process of this machine: the rank itself, or what stands for it here (an ssh, a
// `lab exec`, a `kubectl logs`). What it leaves in its session goes with it. No rank outlives the
// call, however it ends, but one that the kernel holds fast for seconds: the kernel kills what this
// process started when it dies, or ends its input.
#pragma once

#include "src/base/result.h"

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::launch {

struct RankCommand {
  int rank = 0;
  std::string node;  // for messages
  std::vector<std::string> argv;
  std::map<std::string, std::string> environment;  // beside what this process has
  // It ends, with all that it started, when its standard input does (src/launch/guard.h): it is
  // stopped so, and where this process dies it is given the time to. Otherwise it is stopped by
  // SIGTERM, and the kernel kills it then.
  bool watchesInput = false;
  // What its standard input begins with, a few hundred bytes at most: words that no user of this
  // machine may read, as argv is.
  std::string input = {};
};

struct GangSettings {
  // In all; a gang that is not done then has failed. Zero: without an end.
  std::chrono::milliseconds timeLimit{0};
  // Between SIGTERM and SIGKILL. Who watches its input has it between the end of that and SIGTERM,
  // and a moment more.
  std::chrono::milliseconds grace{3000};
  // Each line of a rank's standard error, without its end; may be empty. Lines over 4 KiB are cut.
  std::function<void(int rank, std::string_view line)> onLine;
  // Once readable (a signalfd), everything is stopped; -1: never.
  int interruptFd = -1;
};

struct RankEnd {
  int rank = 0;
  std::string node;
  int exitCode = 0;                    // 128 + signal
  std::string output;                  // its standard output, at most 16 MiB
  std::vector<std::string> lastLines;  // of its standard error
};

// What stands for a rank elsewhere says so, on its standard error, where the rank is: this and the
// node's name. It takes the place of RankCommand::node and is no line of the rank's.
inline constexpr std::string_view kNodeMark = "railhead-node ";

struct GangEnd {
  std::vector<RankEnd> ranks;  // in the order given
  // The rank that ended the gang: the first that failed, but not one that only says that another
  // did. -1: all ended well.
  int failed = -1;
  bool outOfTime = false;
  bool interrupted = false;

  bool ok() const { return failed < 0 && !outOfTime && !interrupted; }
  // "rank 1 (node spark-b) ended with exit code 3: its last line", or why else it did not end well.
  std::string reason() const;
  std::string remedy() const;  // that the failed rank gave; may be empty
};

// A gang that is told things while it runs. One thread, which ignores SIGPIPE as our programs do;
// the kernel kills the ranks with it.
class RunningGang {
 public:
  static Result<std::unique_ptr<RunningGang>> start(const std::vector<RankCommand>& ranks,
                                                    GangSettings settings,
                                                    const std::string& nullDevice);
  ~RunningGang();  // kills what still runs

  // To the standard input of a rank that reads it. kUnavailable: it does not, or is gone.
  Result<void> tell(int rank, std::string_view text);
  // Takes what the ranks write (onLine), and waits for it that long at most. False: all have ended,
  // one has failed, or it was interrupted: end() says which.
  bool step(std::chrono::milliseconds wait = std::chrono::milliseconds{50});
  bool hasEnded(int rank);                 // also of one that the gang does not have
  std::vector<std::string> nodes() const;  // of the ranks, in the order given
  // Stops what still runs. Once.
  GangEnd end();

 private:
  class Rank;
  class Ranks;
  explicit RunningGang(std::unique_ptr<Ranks> ranks);
  std::unique_ptr<Ranks> ranks_;
};

// Errors are those of starting; afterwards nothing is left running. `nullDevice` is /dev/null.
Result<GangEnd> runGang(const std::vector<RankCommand>& ranks, const GangSettings& settings,
                        const std::string& nullDevice);

}  // namespace railhead::launch
