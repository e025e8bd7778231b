// A choice by size that NCCL's tuner plugin takes while NCCL runs, and its place in memory of this
// process. Made before NCCL is loaded; used by one thread.
#pragma once

#include "src/base/result.h"
#include "src/os/unique_fd.h"
#include "src/tune/setting.h"

#include <string>

namespace railhead::nccl_tuner {
struct LiveTable;
}

namespace railhead::tune {

class LiveChoices {
 public:
  static Result<LiveChoices> create();
  ~LiveChoices();
  LiveChoices(LiveChoices&& other) noexcept;
  LiveChoices& operator=(LiveChoices&&) = delete;

  // What RAILHEAD_TUNER_LIVE must be in this process.
  std::string path() const;
  // Algorithm, protocol and channels; "default" leaves all to NCCL. kInvalidArgument: a name that
  // NCCL has none for.
  Result<void> choose(const Setting& choice);

 private:
  LiveChoices(os::UniqueFd file, nccl_tuner::LiveTable* table);
  os::UniqueFd file_;
  nccl_tuner::LiveTable* table_;  // mapped
};

}  // namespace railhead::tune
