#include "lab/wire/token_bucket.h"

#include <algorithm>

namespace railhead::lab {

void TokenBucket::take(std::size_t frameBytes, TimePoint now) {
  const double bits = static_cast<double>(frameBytes + kWireOverheadBytes) * 8;
  const auto lineTime = std::chrono::duration_cast<Duration>(
      std::chrono::duration<double>(bits / rate_.bitsPerSecond));
  lineFree_ = std::max(lineFree_, now) + lineTime;
}

}  // namespace railhead::lab
