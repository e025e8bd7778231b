// Where a training run's ranks are, and the commands that become them.
#pragma once

#include "apps/railhead/command_line.h"
#include "apps/railhead/lab_ranks.h"
#include "src/launch/gang.h"
#include "src/launch/placement.h"
#include "src/train/gang_run.h"
#include "src/train/run_file.h"
#include "src/train/run_folder.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace railhead::app {

// What --on, else the run file, says; "local" is local:RANKS. kInvalidArgument: it has not the run
// file's number of ranks.
// `lab`: what --lab says, which only ranks in a lab take.
Result<launch::Placement> trainPlacement(const std::string& on, const train::RunFile& run,
                                         const std::string& lab = {});

// What every rank is told, beside who it is: the run file's variables, the profile's, ours.
std::map<std::string, std::string> trainEnvironment(const train::RunFolder& folder,
                                                    const train::RunFile& run,
                                                    const train::StartPlan& plan);

// The lab that the ranks are in, with one rank in a pod of each node; null with another placement.
// `on`: as trainPlacement has it; `name`: the lab's. Its nodes share the run file's folder, and the
// run's folder must lie in it. kInvalidArgument: it does not, or the lab has another number of
// nodes than the run file has ranks. `interruptFd`: once readable, it is given up.
Result<std::unique_ptr<LabRanks>> openTrainLab(const launch::Placement& placement,
                                               const train::RunFile& run, const std::string& on,
                                               const std::string& name,
                                               const std::string& workFolder,
                                               const std::string& runFolder, const Context& context,
                                               int interruptFd);

// Where they are started; `lab` is openTrainLab's.
struct TrainPlace {
  launch::Placement placement;
  const LabRanks* lab = nullptr;
};

// `workFolder`: where the command runs. The ranks are guarded (src/launch/guard.h).
Result<std::vector<launch::RankCommand>> trainRanks(
    const TrainPlace& place, const train::RunFile& run, const train::StartPlan& plan,
    const std::map<std::string, std::string>& environment, const std::string& workFolder,
    const Context& context);

}  // namespace railhead::app
