#include "src/bench/collectives/room.h"

#include "src/base/units.h"

#include <algorithm>
#include <string>

namespace railhead::bench {

Result<void> checkRoom(std::string_view option, std::uint64_t largestBytes, int ranksSharing,
                       const collective::Memory::Room& room) {
  constexpr std::uint64_t kBuffers = 3;  // send, receive, and what the backend works in
  const auto sharing = static_cast<std::uint64_t>(std::max(1, ranksSharing));
  const std::uint64_t limit = room.ofNode ? room.freeBytes / 4 : room.freeBytes / 10 * 9;
  const std::uint64_t fits = limit / (kBuffers * sharing);
  if (largestBytes <= fits) return {};
  const std::string named(option);
  return Error(ErrorCode::kInvalidArgument,
               named + " " + formatBytes(largestBytes) + ": " + std::to_string(sharing) +
                   (sharing == 1 ? " rank" : " ranks") + " here would need " +
                   formatBytes(largestBytes * kBuffers * sharing) + " of " +
                   formatBytes(room.freeBytes) + " free" +
                   (room.ofNode ? ", of which a quarter may be used: the node lives in it" : ""),
               "give at most " + formatBytes(fits) + " with " + named);
}

Result<void> checkRoomTogether(std::string_view option, std::uint64_t largestBytes,
                               collective::Memory& memory, collective::Group& group,
                               os::Deadline deadline) {
  const auto room = memory.room();
  const std::string place = group.world().node + "\n" + (room.has_value() ? room->device : "");
  RAILHEAD_TRY_ASSIGN(const auto places, group.gather(place, deadline));
  const auto sharing = std::count(places.begin(), places.end(), place);
  Result<void> own = room.has_value()
                         ? checkRoom(option, largestBytes, static_cast<int>(sharing), *room)
                         : Result<void>(room.error());
  // With whether the rank could tell: whichever of them ends first, the launcher tells the same.
  const char* const told = room.has_value() ? "1" : "0";
  RAILHEAD_TRY_ASSIGN(const auto all,
                      group.gather(own.has_value() ? "" : told + own.error().describe(), deadline));
  RAILHEAD_TRY(std::move(own));
  for (std::size_t rank = 0; rank < all.size(); ++rank) {
    if (all[rank].empty()) continue;
    const bool tooLarge = all[rank].front() == '1';
    return Error(tooLarge ? ErrorCode::kInvalidArgument : ErrorCode::kUnavailable,
                 "rank " + std::to_string(rank) + ": " + all[rank].substr(1));
  }
  return {};
}

}  // namespace railhead::bench
