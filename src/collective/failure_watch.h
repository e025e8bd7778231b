// Ends what a rank waits in when its gang has failed: of another rank's death the gang hears first,
// and a backend may not hear at all (a host without power, a peer over shared memory).
//
// connected() comes from the rank's own thread, failed() from its group's.
#pragma once

#include "src/base/error.h"
#include "src/collective/communicator.h"

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>

namespace railhead::collective {

class FailureWatch {
 public:
  // `endProcess`: the rank is connecting still, in a call that ends by itself alone (Gloo's) or
  // much later, and had `ownWords` to end with what it found itself, which says more.
  explicit FailureWatch(std::function<void(const Error&)> endProcess,
                        std::chrono::milliseconds ownWords = std::chrono::seconds(2))
      : endProcess_(std::move(endProcess)), ownWords_(ownWords) {}

  // Connecting is over, with this or with nothing. It outlives the group whose failures come here.
  void connected(Communicator* communicator);
  // GroupSettings::onFailure. Aborts the communicator. Blocks for that long, and for `ownWords`
  // while the rank connects; the group, which has failed, tells nothing meanwhile, and its end
  // waits.
  void failed(const Error& error);

 private:
  const std::function<void(const Error&)> endProcess_;
  const std::chrono::milliseconds ownWords_;
  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by the mutex.
  bool connecting_ = true;
  Communicator* communicator_ = nullptr;
};

}  // namespace railhead::collective
