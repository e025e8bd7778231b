// What is tuned for: one collective at one message size.
#pragma once

#include <compare>
#include <cstdint>
#include <string>

namespace railhead::tune {

struct Size {
  std::string operation;    // "allreduce": the names of the table file (table.h)
  std::uint64_t bytes = 0;  // of the larger of the two buffers
  bool overlapped = false;  // timed while the GPU computes: a series of its own

  std::strong_ordering operator<=>(const Size&) const = default;
};

}  // namespace railhead::tune
