#include "src/collective/group.h"

#include "src/collective/group_link.h"

namespace railhead::collective {

Result<std::unique_ptr<Group>> Group::join(const World& world, const GroupSettings& settings) {
  return world.rank == 0 ? joinAsHub(world, settings) : joinAsMember(world, settings);
}

Result<void> Group::barrier(os::Deadline deadline) {
  RAILHEAD_TRY(gather("", deadline));
  return {};
}

Result<std::string> Group::fromHub(std::string_view own, os::Deadline deadline) {
  RAILHEAD_TRY_ASSIGN(auto texts, gather(world().rank == 0 ? own : "", deadline));
  return std::move(texts.front());
}

}  // namespace railhead::collective
