// The tuner of one process: its table, whether all ranks have proven the same, and the decisions.
//
// On or off is decided for the whole process, at its first communicator of more than one rank:
// - live: RAILHEAD_TUNER_LIVE is set. Whatever stands there counts, and the launcher answers for
// it.
// - agreed: RAILHEAD_TUNER_AGREED is the table's hash, or that and its digest: a launcher has
//   compared all ranks. The hash alone trusts the file, which states it.
// - proven: that communicator is of all WORLD_SIZE ranks, and they prove to each other that their
//   tables are one (proof.h).
// The first has to be the one of all ranks, because where communicators are made side by side their
// order may differ from rank to rank: one of them would then be made before the proof on this rank
// and after it on that, and its ranks would decide differently, which hangs.
#pragma once

#include "plugins/nccl-tuner/files.h"
#include "plugins/nccl-tuner/nccl_tuner_abi.h"
#include "plugins/nccl-tuner/proof_message.h"
#include "plugins/nccl-tuner/table.h"

#include <cstddef>
#include <cstdint>

#include <pthread.h>

namespace railhead::nccl_tuner {

// What NCCL hands over at a decision. Nothing of it is trusted.
struct Decision {
  int collective = -1;
  std::uint64_t bytes = 0;
  float* costs = nullptr;  // [algorithms][protocols], in µs; below 0: not to be used
  int algorithms = 0;
  int protocols = 0;
  int* channels = nullptr;  // 0: NCCL's own number
};

// A quarter of a MiB: static, or on the heap.
class ProcessTuner {
 public:
  static constexpr const char* kDefaultTable = "/etc/railhead/nccl-tuner.table";

  // A new communicator: its context, null for one that is left to NCCL. Tells why to `log` (may be
  // null) in one line. Thread-safe; the first one may block for the time of the proof.
  const void* open(std::size_t ranks, std::size_t nodes, abi::Logger log);

  // Makes one entry of the cost table win, or changes nothing. Thread-safe without a lock, without
  // an allocation, without a call to the kernel. `context`: what open() gave; any other is null.
  void decide(const void* context, const Decision& decision) const;

 private:
  enum class Standing { Unknown, Off, Refused, Agreed, Proven, Live };

  void begin(std::size_t ranks);
  void proveWorld(Objection own);
  const void* admit(std::size_t ranks, std::size_t nodes, Remark& told);

  // All below is written under the mutex, and never again once a context has been given out.
  pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
  Standing standing_ = Standing::Unknown;
  Remark why_;  // Off, Refused
  std::uint32_t world_ = 0;
  const LiveTable* live_ = nullptr;
  Table table_;
};

// Makes `choice` win in the cost table when it is there to be chosen, and sets the channels when it
// names some; all of it or nothing.
void apply(const Choice& choice, const Decision& decision);

}  // namespace railhead::nccl_tuner
