#include "src/train/origin.h"

#include "src/checkpoint/reading.h"
#include "src/checkpoint/writing.h"

#include <utility>

namespace railhead::train {

Result<Origin> originIn(os::Filesystem& files, const std::string& folder) {
  RAILHEAD_TRY(checkpoint::removeUnfinished(files, folder));
  RAILHEAD_TRY_ASSIGN(auto newest, checkpoint::newestCheckpoint(files, folder));
  if (!newest.checkpoint && !newest.notes.empty()) {
    return Error(ErrorCode::kCorrupt, "nothing to go on from: " + newest.notes.back(),
                 "bring the checkpoint back, or move " + folder +
                     " away to begin anew; nothing was changed");
  }
  Origin out;
  if (newest.checkpoint) out.step = newest.checkpoint->step;
  out.path = newest.path;
  out.notes = std::move(newest.notes);
  RAILHEAD_TRY_ASSIGN(const auto moved, checkpoint::setAside(files, folder, out.step.value_or(0)));
  out.notes.insert(out.notes.end(), moved.begin(), moved.end());
  return out;
}

Origin originTold(const StepSeries& rank0) {
  Origin out;
  if (const auto told = rank0.newestCheckpoint()) {
    out.step = told->step;
    out.path = told->path;
  }
  return out;
}

}  // namespace railhead::train
