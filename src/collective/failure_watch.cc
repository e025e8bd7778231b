#include "src/collective/failure_watch.h"

namespace railhead::collective {

void FailureWatch::connected(Communicator* communicator) {
  {
    const std::lock_guard lock(mutex_);
    connecting_ = false;
    communicator_ = communicator;
  }
  changed_.notify_all();
}

void FailureWatch::failed(const Error& error) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, ownWords_, [&] { return !connecting_; });
  if (connecting_) return endProcess_(error);
  if (communicator_ != nullptr) communicator_->abort();
}

}  // namespace railhead::collective
