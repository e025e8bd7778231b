// The ranks of one gang, joined over TCP: rank 0 is the hub, the others connect to it. They
// exchange small texts, wait for each other, and learn within seconds when one of them is gone.
//
// A rank is gone when its connection ends without a farewell, or when nothing (not even a
// heartbeat) came from it for GroupSettings::silence. Then every other rank's failure() is set and
// what waits in gather() ends with it. Time is each process's own steady clock, so that the nodes'
// clocks may differ.
//
// One thread of the group's own receives and sends heartbeats; it ends with the object. All other
// calls come from one thread, fail() and failure() from any.
#pragma once

#include "src/base/result.h"
#include "src/collective/world.h"
#include "src/os/unix_socket.h"

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::collective {

struct GroupSettings {
  std::string purpose;  // "bench 1": all ranks must be of one kind and version
  os::Deadline meetBy;
  std::chrono::milliseconds silence{10'000};
  // Called once from the group's thread when the gang has failed; may be empty. Must not destroy
  // the group.
  std::function<void(const Error&)> onFailure;
};

class Group {
 public:
  static constexpr std::size_t kMaxText = 64 << 10;  // of one rank in one gather

  // Waits until every rank is there. kEnvironment: which ranks did not come, or that rank 0 is not
  // reachable; kPermissionDenied: wrong token, purpose or rank number.
  static Result<std::unique_ptr<Group>> join(const World& world, const GroupSettings& settings);
  // Says farewell: the others are not told of a failure.
  virtual ~Group() = default;

  virtual const World& world() const = 0;
  // Every rank gives a text and receives those of all, in the order of ranks. All must call it.
  virtual Result<std::vector<std::string>> gather(std::string_view own, os::Deadline deadline) = 0;
  Result<void> barrier(os::Deadline deadline);
  // As gather(), in as many rounds as the longest text needs: up to kMaxLongText of each rank.
  static constexpr std::size_t kMaxLongText = 16 << 20;
  Result<std::vector<std::string>> gatherLong(std::string_view own, os::Deadline deadline);
  // The text that rank 0 gives, to every rank.
  Result<std::string> fromHub(std::string_view own, os::Deadline deadline);

  // Tells the others why this rank gives up; afterwards the gang has failed here, too.
  virtual void fail(const Error& error) = 0;
  // Why the gang has failed, once it has.
  virtual std::optional<Error> failure() const = 0;
};

}  // namespace railhead::collective
