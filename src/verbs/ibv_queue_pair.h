// Completion queues and RC queue pairs over libibverbs. Private to src/verbs.
#pragma once

#include "src/verbs/ibv_handles.h"
#include "src/verbs/verbs.h"

#include <memory>

namespace railhead::verbs {

Result<std::unique_ptr<CompletionQueue>> openCompletionQueue(const OpenDevice& device, int depth);

// `queue` must come from openCompletionQueue.
Result<std::unique_ptr<QueuePair>> openQueuePair(const OpenDevice& device, CompletionQueue& queue,
                                                 const QueuePairSize& size);

}  // namespace railhead::verbs
