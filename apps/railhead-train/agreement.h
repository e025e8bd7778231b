// Whether all ranks were asked for the same: with other shapes, batches or buckets they would wait
// for each other without end, or add up what does not belong together.
#pragma once

#include "apps/railhead-train/options.h"
#include "src/base/result.h"
#include "src/trainer/corpus.h"
#include "src/trainer/training.h"

namespace railhead::trainer_app {

// Collective. kCheckFailed names the rank, the option and both values.
Result<void> agreeOnRun(const Options& options, const trainer::TrainingSettings& settings,
                        const trainer::Corpus& corpus, const trainer::Gather& gather);

}  // namespace railhead::trainer_app
