// The two sides of the proof. Each gives the verdict, yes or no, or false with why there is none.
#pragma once

#include "plugins/nccl-tuner/proof_message.h"
#include "plugins/nccl-tuner/proof_place.h"

namespace railhead::nccl_tuner {

// Rank 0: hears every other rank, and answers them.
bool collectHellos(const ProofPlace& place, const ProofMessage& own, ProofMessage& verdict,
                   Remark& why);

// The others: say who they are, and wait for the answer.
bool askRankZero(const ProofPlace& place, const ProofMessage& own, ProofMessage& verdict,
                 Remark& why);

}  // namespace railhead::nccl_tuner
