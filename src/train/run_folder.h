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

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::train {

// What a folder is, as far as its names tell.
enum class Holds {
  kNoRun,
  kUnstarted,  // what a start makes first, and no more: it was killed there, or is just there
  kRemains,    // of a run whose manifest is gone
  kManifest,
};

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

  // Makes it with its folders and the run file; locked before it can be told from other folders.
  // kAlreadyExists: something is there.
  Result<os::UniqueFd> create(os::Filesystem& files, std::string_view runFileText) const;
  // kNotFound: it is no run, or never began. kCorrupt: its manifest, which may be missing.
  Result<Manifest> readManifest(os::Filesystem& files) const;
  // kExhausted: the disk is full; the one before stays.
  Result<void> writeManifest(os::Filesystem& files, const Manifest& manifest) const;
  Result<StepSeries> readSeries(os::Filesystem& files, int rank) const;
  // The last step that counts, from the file's end: costs the same however long the run is. Nothing
  // where the rank told of none. kNotFound: no file. kExhausted: no step is that near its end.
  Result<std::optional<StepLine>> readNewestStep(int rank) const;

  // Held while the run is watched. kBusy names the process that holds it.
  Result<os::UniqueFd> lock() const;
  bool isLocked() const;
  Holds holds(os::Filesystem& files) const;

  // Held by each rank's guard while its command may run, also when who watched the run is gone.
  // kBusy: a start that is not over waits for all of them to end.
  Result<os::UniqueFd> holdAsRank() const;
  // Until no guard holds it any more; kBusy at the deadline.
  Result<void> waitForRanks(os::Clock& clock, os::Clock::TimePoint deadline) const;

 private:
  std::string path_;
};

struct NewRun {
  RunFolder folder;
  os::UniqueFd lock;
};

// "NAME-0001" and on: the first that is free below `folder`, made.
Result<NewRun> newRunFolder(os::Filesystem& files, const std::string& folder,
                            const std::string& name, std::string_view runFileText);

// A folder that holds a run, or what is left of one.
struct ListedRun {
  RunFolder folder;
  Result<Manifest> manifest;  // the error: damaged or never begun, and what to do
};

// The runs below `folder`, by name; none where it is missing. One that is just being made is not
// among them.
Result<std::vector<ListedRun>> listRuns(os::Filesystem& files, const std::string& folder);

// What a rank's steps come to.
Totals totalsOf(const StepSeries& series);

// Adds the complete checkpoints in the run's folder that the manifest does not know; their steps.
// What cannot be read now is passed over.
std::vector<std::uint64_t> takeNewCheckpoints(os::Filesystem& files, const RunFolder& run,
                                              Manifest& manifest);

// Of a start that nobody watches any more, and whose watcher did not come to say how it ended:
// "killed". Under the run's lock.
void sayKilled(Manifest& manifest);

// A manifest is written at starts, ends and checkpoints, and when a place is told. Of a run that
// has no end yet, watched or killed, this brings totals and checkpoints to where its files say that
// it came; `told`: what rank 0's steps come to, nothing where it told of none. Others stay as they
// are.
void bringUpToDate(os::Filesystem& files, const RunFolder& run, const std::optional<Totals>& told,
                   Manifest& manifest);

// Appends; made when missing. Not durable.
Result<void> appendText(const std::string& path, std::string_view text);

}  // namespace railhead::train
