// What the ranks tell each other before they join NCCL: whether each can at all, which version it
// has, and rank 0's id. Pure.
#pragma once

#include "src/base/result.h"
#include "src/nccl/library.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::collective {

struct NcclIntroduction {
  std::string failure;  // not empty: why this rank cannot
  int version = 0;      // of NCCL
  std::optional<nccl::UniqueId> id;

  std::string encode() const;
  // kCorrupt: not such a text.
  static Result<NcclIntroduction> decode(std::string_view text);
};

// The id that all join with. kEnvironment names the first rank that cannot, kCheckFailed the ranks
// that have different versions.
Result<nccl::UniqueId> agreedId(const std::vector<std::string>& texts, int ranks);

}  // namespace railhead::collective
