#include "src/collective/group.h"

#include "src/base/text.h"
#include "src/collective/group_link.h"

#include <algorithm>

namespace railhead::collective {

Result<std::unique_ptr<Group>> Group::join(const World& world, const GroupSettings& settings) {
  return world.rank == 0 ? joinAsHub(world, settings) : joinAsMember(world, settings);
}

Result<void> Group::barrier(os::Deadline deadline) {
  RAILHEAD_TRY(gather("", deadline));
  return {};
}

Result<std::vector<std::string>> Group::gatherLong(std::string_view own, os::Deadline deadline) {
  RAILHEAD_TRY_ASSIGN(const auto sizes, gather(std::to_string(own.size()), deadline));
  std::uint64_t longest = 0;
  for (std::size_t rank = 0; rank < sizes.size(); ++rank) {
    const auto size = parseUnsigned(sizes[rank]);
    // Every rank sees the same sizes, so all give up together.
    if (!size || *size > kMaxLongText) {
      return Error(ErrorCode::kExhausted, "rank " + std::to_string(rank) + " has " +
                                              inQuotes(sizes[rank], 20) + " bytes to tell, " +
                                              std::to_string(kMaxLongText) + " are allowed");
    }
    longest = std::max(longest, *size);
  }
  std::vector<std::string> out(sizes.size());
  for (std::uint64_t at = 0; at < longest; at += kMaxText) {
    const auto part = at < own.size() ? own.substr(at, kMaxText) : std::string_view();
    RAILHEAD_TRY_ASSIGN(const auto parts, gather(part, deadline));
    for (std::size_t rank = 0; rank < parts.size(); ++rank) out[rank] += parts[rank];
  }
  return out;
}

Result<std::string> Group::fromHub(std::string_view own, os::Deadline deadline) {
  RAILHEAD_TRY_ASSIGN(auto texts, gather(world().rank == 0 ? own : "", deadline));
  return std::move(texts.front());
}

}  // namespace railhead::collective
