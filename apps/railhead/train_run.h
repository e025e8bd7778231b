// One run from its start to its end.
#pragma once

#include "apps/railhead/command_line.h"
#include "apps/railhead/train_prepare.h"
#include "src/train/run_folder.h"

#include <string>

namespace railhead::app {

struct TrainRunOptions {
  std::string on;
  std::string lab;            // of --on lab: the name of the running one; empty: the usual one
  std::string runs = "runs";  // the folder of runs
  std::string folder;         // of this run; empty: NAME-0001 and on below `runs`
  std::string metrics;        // ADDRESS:PORT
  bool json = false;
  bool output = false;       // show what the ranks print
  bool changedCode = false;  // of resume: scripts that have changed are taken as they are
};

// Starts, or starts again, and stays with it to the end. `replayOf`: another run's id, or empty.
// Sets the context's exit code unless it went well. The run's folder.
Result<train::RunFolder> startRun(const ReadRunFile& file, const TrainRunOptions& options,
                                  const std::string& replayOf, Context& context);
Result<void> resumeRun(const train::RunFolder& folder, const TrainRunOptions& options,
                       Context& context);

// The run that is meant: its folder, or its name below `runs`.
Result<train::RunFolder> runNamed(const std::string& name, const std::string& runs);

}  // namespace railhead::app
