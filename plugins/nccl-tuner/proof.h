// The proof that all ranks of a job have one table: each tells rank 0, and rank 0 answers all of
// them yes, or all of them no with the rank to blame. It is synchronous, without threads, bounded
// in time and memory, and leaves nothing behind. A rank without a clear yes is off.
//
// Whoever reaches the port can disturb a proof, as they can NCCL's own rendezvous: what a stranger
// sends is dropped, but ranks are not authenticated.
#pragma once

#include "plugins/nccl-tuner/proof_message.h"
#include "plugins/nccl-tuner/proof_place.h"
#include "plugins/nccl-tuner/table.h"

namespace railhead::nccl_tuner {

// Blocks for the place's seconds at most, where a rank that has been heard waits as long again for
// the answer. `own`: what this rank itself objects to, which makes the proof fail on all. False,
// with why, unless every rank has this table.
bool prove(const ProofPlace& place, const TableIdentity& table, Objection own, Remark& why);

}  // namespace railhead::nccl_tuner
