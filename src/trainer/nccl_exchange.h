// The exchange over NCCL, for an engine whose work goes to the device's default stream: calls and
// engine wait for each other on the device, not here. Times are the device's own.
#pragma once

#include "src/collective/nccl/nccl_communicator.h"
#include "src/trainer/exchange.h"

#include <memory>

namespace railhead::trainer {

// `communicator` must outlive it.
Result<std::unique_ptr<Exchange>> ncclExchange(collective::NcclCommunicator& communicator);

}  // namespace railhead::trainer
