// The two files the plugin reads. Neither is trusted: sizes are bounded, and nothing waits (a FIFO
// in a file's place is refused). Sizes come from lseek(): the stat family of calls needs a newer C
// library than the plugin may.
#pragma once

#include "plugins/nccl-tuner/live_table.h"
#include "plugins/nccl-tuner/remark.h"
#include "plugins/nccl-tuner/table.h"

namespace railhead::nccl_tuner {

// Fills `table` from the file at `path`; false, with why, leaves it empty.
bool readTableFile(const char* path, Table& table, Remark& why);

// Maps the live table at `path` for reading; null, with why. Never unmapped: decisions may be under
// way until the process ends. The file must not be made shorter while it is mapped.
const LiveTable* mapLiveFile(const char* path, Remark& why);

}  // namespace railhead::nccl_tuner
