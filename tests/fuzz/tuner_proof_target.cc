#include "plugins/nccl-tuner/proof_message.h"
#include "tests/fuzz/promise.h"
#include "tests/fuzz/targets.h"

#include <algorithm>

namespace railhead::fuzz {

bool tunerProof(std::string_view input) {
  nccl_tuner::ProofBytes bytes{};
  if (input.size() != bytes.size()) return false;
  std::copy(input.begin(), input.end(), bytes.begin());
  nccl_tuner::ProofMessage message;
  if (!nccl_tuner::decode(bytes, message)) return false;
  must(nccl_tuner::encode(message) == bytes, "what was taken says the same when sent");
  return true;
}

}  // namespace railhead::fuzz
