// A run under watch: all ranks start together, one that dies or hangs stops all, and all start
// again from the last complete checkpoint, with a growing pause and a bound. Keeps the manifest,
// the logs and the checkpoints of the run's folder. One thread, which holds the folder's lock.
#pragma once

#include "src/base/result.h"
#include "src/launch/gang.h"
#include "src/os/clock.h"
#include "src/os/filesystem.h"
#include "src/train/manifest.h"
#include "src/train/rank_watch.h"
#include "src/train/run_file.h"
#include "src/train/run_folder.h"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace railhead::train {

// What the ranks of one start are told beside the launcher's own.
struct StartPlan {
  std::uint64_t attempt = 1;
  bool first = true;   // of this watcher's
  std::string resume;  // a checkpoint's folder; empty: from the beginning
};
// Their commands, in the order of the ranks; a port of its own each time.
using RankStarter = std::function<Result<std::vector<launch::RankCommand>>(const StartPlan&)>;

struct RunEvent {
  enum class Kind { kStarted, kStep, kCheckpoint, kFailed, kPause, kNote, kEnded };
  Kind kind = Kind::kNote;
  std::uint64_t attempt = 0;
  std::uint64_t step = 0;          // of kStarted: that it goes on from
  const StepLine* line = nullptr;  // of kStep: rank 0's
  std::string text;                // reason, note, state
  double seconds = 0;              // of kPause
};

struct GangRunSettings {
  std::string nullDevice;
  int interruptFd = -1;  // once readable, everything is stopped
  std::function<void(const RunEvent&)> onEvent;
  std::function<void(int rank, std::string_view line)> onOutput;
  // The ranks' folder of checkpoints is not ours to read: those that rank 0 tells of are gone on
  // from, and kept or dropped by the trainer.
  bool checkpointsElsewhere = false;
  // After each start's processes have ended, however: takes away what else it made. An error ends
  // the run, for no second gang may run beside a first.
  std::function<Result<void>()> onStartOver;
};

class GangRun {
 public:
  // All outlive it. `manifest` is that of the folder, and is kept there while it changes.
  GangRun(const RunFolder& folder, const RunFile& run, Manifest& manifest, os::Filesystem& files,
          os::Clock& clock, RankStarter starter, GangRunSettings settings);

  // To the run's end, whose state the manifest has: "finished", "failed", "stopped" (the stop file
  // appeared) or "interrupted". Errors are those of the folder and of starting: a disk that is
  // full, checkpoints of which none is complete, no such program. Nothing is left running.
  Result<void> run();
  // Of the rank that ended the last start; 0: none did.
  int exitCode() const { return exitCode_; }

 private:
  struct Ended {
    std::string how;  // as Attempt::end
    std::string reason;
    std::optional<int> rank;
    int exitCode = 0;
  };

  Result<void> waitForRanks();
  Result<void> prepare(StartPlan& plan);
  Result<Ended> attempt(const StartPlan& plan);
  Result<Ended> runGang(const StartPlan& plan);
  Result<Ended> watch(launch::RunningGang& gang);
  std::optional<Ended> hung(launch::RunningGang& gang);
  Ended endOf(launch::GangEnd end, std::optional<Ended> decided);
  Result<void> takeMetrics();
  void takeLine(int rank, std::string_view line);
  Result<void> lookForCheckpoints();
  Result<void> takeTold(std::uint64_t step);
  Result<void> takeBack(std::uint64_t step);
  bool isKnown(std::uint64_t checkpoint) const;
  Result<void> dropOld();
  bool mayTryAgain(const Ended& ended);
  bool pause(double seconds);  // false: stopped or interrupted meanwhile
  bool isStopAsked();
  bool isInterrupted() const;
  Result<void> keep();
  void tell(RunEvent event);
  void forgetOld();
  void log(int rank, const std::string& text);
  void note(const std::string& text);
  Result<void> finish(const std::string& state, const std::string& reason);

  const RunFolder& folder_;
  const RunFile& run_;
  Manifest& manifest_;
  os::Filesystem& files_;
  os::Clock& clock_;
  RankStarter starter_;
  GangRunSettings settings_;
  std::vector<RankWatch> ranks_;
  std::vector<os::UniqueFd> logs_;
  std::optional<Error> failure_;  // of our own, met in a callback
  os::Clock::TimePoint begun_;
  os::Clock::TimePoint lastLook_;
  os::Clock::TimePoint attemptBegun_;
  bool logsCut_ = false;    // and told
  bool placeTold_ = false;  // and not kept yet
  bool started_ = false;
  int restarts_ = 0;
  int exitCode_ = 0;
  int sinceCheckpoint_ = 0;  // failures without a new one between them
};

// "2026-11-30T05:58:01Z".
std::string utcText(std::chrono::system_clock::time_point time);

}  // namespace railhead::train
