// One call with its data checked: what each rank must put in and what must come out. Pure.
#pragma once

#include "src/base/result.h"
#include "src/collective/call.h"
#include "src/collective/pattern.h"

#include <cstdint>
#include <vector>

namespace railhead::collective {

struct CheckedCall {
  std::vector<Expectation> before;  // of the send buffer
  std::vector<Expectation> after;   // of the receive buffer; empty where nothing arrives
};

// `seed` differs from call to call, so that yesterday's bytes cannot pass.
Result<CheckedCall> checkedCall(const Call& call, int rank, int ranks, std::uint32_t seed);

}  // namespace railhead::collective
