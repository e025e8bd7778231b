#include "plugins/nccl-tuner/proof.h"

#include "plugins/nccl-tuner/proof_sides.h"

namespace railhead::nccl_tuner {
namespace {

void sayObjection(const ProofMessage& no, const ProofPlace& place, Remark& why) {
  switch (no.objection) {
    case Objection::OtherTable:
      return why.say("rank %u has another table than rank 0", no.rank);
    case Objection::OtherDeadline:
      return why.say("rank %u has another RAILHEAD_TUNER_PROOF_SECONDS than rank 0", no.rank);
    case Objection::EarlierComm:
      return why.say("rank %u made another communicator before that of all %u ranks", no.rank,
                     place.world);
    case Objection::Missing:
      return why.say("rank %u did not come to the proof within %u s: it has no table, or no tuner",
                     no.rank, place.seconds);
    case Objection::Gone:
      return why.say("rank %u left the proof before its end", no.rank);
    case Objection::Twice:
      return why.say("two say that they are rank %u", no.rank);
    case Objection::None:
      break;
  }
  why.say("rank 0 says no and not why");
}

}  // namespace

bool prove(const ProofPlace& place, const TableIdentity& table, Objection own, Remark& why) {
  const ProofMessage hello{.objection = own,
                           .seconds = static_cast<std::uint16_t>(place.seconds),
                           .world = place.world,
                           .rank = place.rank,
                           .job = place.masterPort,
                           .hash = hashBytes(table.hash),
                           .digest = table.bytes};
  ProofMessage verdict;
  if (!(place.rank == 0 ? collectHellos : askRankZero)(place, hello, verdict, why)) return false;
  if (verdict.kind != ProofMessage::Kind::Yes) {
    sayObjection(verdict, place, why);
    return false;
  }
  if (own == Objection::None && verdict.sameTable(hello)) return true;
  why.say("rank 0 says yes to another table than this rank's");
  return false;
}

}  // namespace railhead::nccl_tuner
