// Ends what another thread waits for: a call to the API server, a pause between two tries.
#pragma once

#include "src/base/result.h"
#include "src/os/unique_fd.h"

#include <chrono>

namespace railhead::kube {

// Thread-safe. Once cancelled it stays so.
class Cancel {
 public:
  static Result<Cancel> create();

  void cancel();
  bool cancelled() const { return waitFor(std::chrono::milliseconds(0)); }
  // True as soon as it is cancelled, false after `duration`.
  bool waitFor(std::chrono::milliseconds duration) const;
  int fd() const { return fd_.get(); }  // readable once cancelled

 private:
  explicit Cancel(os::UniqueFd fd) : fd_(std::move(fd)) {}
  os::UniqueFd fd_;
};

}  // namespace railhead::kube
