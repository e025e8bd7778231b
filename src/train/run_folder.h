// The folder of one run, and who works in it:
//   manifest.json   run.yaml   lock   ranks   stop
//   metrics/rank-0.jsonl   logs/rank-0.log   checkpoints/step-00000123/   profile/
// One process at a time writes (lock); readers need none. Thread-compatible.
#pragma once

#include "src/base/result.h"
#include "src/os/clock.h"
#include "src/os/filesystem.h"
#include "src/os/unique_fd.h"
#include "src/train/manifest.h"
#include "src/train/metrics.h"

#include <string>
#include <string_view>
#include <vector>

namespace railhead::train {

class RunFolder {
 public:
  // `path`: absolute.
  explicit RunFolder(std::string path) : path_(std::move(path)) {}

  const std::string& path() const { return path_; }
  std::string id() const { return path_.substr(path_.rfind('/') + 1); }
  std::string manifestFile() const { return path_ + "/manifest.json"; }
  std::string runFile() const { return path_ + "/run.yaml"; }
  std::string lockPath() const { return path_ + "/lock"; }
  std::string ranksPath() const { return path_ + "/ranks"; }  // a lock as well
  std::string stopFile() const { return path_ + "/stop"; }
  std::string checkpoints() const { return path_ + "/checkpoints"; }
  std::string profile() const { return path_ + "/profile"; }
  std::string metricsFile(int rank) const;
  std::string logFile(int rank) const;

  // Makes it with its folders and the run file. kAlreadyExists: something is there.
  Result<void> create(os::Filesystem& files, std::string_view runFileText) const;
  // kNotFound: it is no run. kCorrupt: its manifest, which may be missing.
  Result<Manifest> readManifest(os::Filesystem& files) const;
  // kExhausted: the disk is full; the one before stays.
  Result<void> writeManifest(os::Filesystem& files, const Manifest& manifest) const;
  Result<StepSeries> readSeries(os::Filesystem& files, int rank) const;

  // Held while the run is watched. kBusy names the process that holds it.
  Result<os::UniqueFd> lock() const;
  bool isLocked() const;
  // It has a manifest, or is what is left of a run without one.
  bool holdsRun(os::Filesystem& files) const;

  // Held by each rank's guard while its command may run, also when who watched the run is gone.
  // kBusy: a start that is not over waits for all of them to end.
  Result<os::UniqueFd> holdAsRank() const;
  // Until no guard holds it any more; kBusy at the deadline.
  Result<void> waitForRanks(os::Clock& clock, os::Clock::TimePoint deadline) const;

 private:
  std::string path_;
};

// "NAME-0001" and on: the first that is free below `folder`, made.
Result<RunFolder> newRunFolder(os::Filesystem& files, const std::string& folder,
                               const std::string& name, std::string_view runFileText);

// A folder that holds a run, or what is left of one.
struct ListedRun {
  RunFolder folder;
  Result<Manifest> manifest;  // the error: damaged, and what to do
};

// The runs below `folder`, by name; none where it is missing. One whose manifest is gone is known
// by its run file and its checkpoints' folder; other folders are no runs.
Result<std::vector<ListedRun>> listRuns(os::Filesystem& files, const std::string& folder);

// What a rank's steps come to.
Totals totalsOf(const StepSeries& series);

// A manifest is written at starts, ends and checkpoints. Of a run that has no end yet, watched or
// killed, this brings totals and checkpoints to where its files say that it came; `series` is rank
// 0's. Others stay as they are.
void bringUpToDate(os::Filesystem& files, const RunFolder& run, const StepSeries& series,
                   Manifest& manifest);

// Appends; made when missing. Not durable.
Result<void> appendText(const std::string& path, std::string_view text);

}  // namespace railhead::train
