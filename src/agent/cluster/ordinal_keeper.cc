#include "src/agent/cluster/ordinal_keeper.h"

#include <utility>

namespace railhead::agent {

Result<std::unique_ptr<OrdinalKeeper>> OrdinalKeeper::start(kube::ApiServer& api,
                                                            os::Filesystem& files, os::Clock& clock,
                                                            os::Log& log, OrdinalPlace place,
                                                            std::string file,
                                                            kube::PauseLimits pauses) {
  RAILHEAD_TRY_ASSIGN(kube::Cancel cancel, kube::Cancel::create());
  std::unique_ptr<OrdinalKeeper> keeper(new OrdinalKeeper(
      api, files, clock, log, std::move(place), std::move(file), pauses, std::move(cancel)));
  keeper->number_ = rememberedOrdinal(files, keeper->place_, keeper->file_);
  keeper->thread_ = std::thread([raw = keeper.get()] { raw->run(); });
  return keeper;
}

OrdinalKeeper::OrdinalKeeper(kube::ApiServer& api, os::Filesystem& files, os::Clock& clock,
                             os::Log& log, OrdinalPlace place, std::string file,
                             kube::PauseLimits pauses, kube::Cancel cancel)
    : api_(api),
      files_(files),
      clock_(clock),
      log_(log),
      place_(std::move(place)),
      file_(std::move(file)),
      pauses_(pauses),
      cancel_(std::move(cancel)) {}

OrdinalKeeper::~OrdinalKeeper() {
  cancel_.cancel();
  thread_.join();
}

Result<int> OrdinalKeeper::ordinal() {
  const std::lock_guard lock(mutex_);
  if (number_) return *number_;
  return Error(ErrorCode::kUnavailable, "this node's ordinal is not known yet: " + why_);
}

void OrdinalKeeper::run() {
  kube::RetryPause pause(pauses_);
  while (!claimed(claimOrdinal(api_, files_, clock_, place_, file_, cancel_))) {
    if (cancel_.waitFor(pause.next())) return;
  }
}

// True once the API server has said so: it stays so for ever.
bool OrdinalKeeper::claimed(const Result<OrdinalClaim>& claim) {
  if (cancel_.cancelled()) return true;
  std::optional<int> before;
  {
    const std::lock_guard lock(mutex_);
    before = number_;
    if (claim.has_value()) {
      number_ = claim->ordinal;
    } else {
      why_ = claim.error().describe();
    }
  }
  if (!claim.has_value()) {
    if (std::exchange(told_, claim.error().message) != claim.error().message)
      log_.error("agent", Error(claim.error()).addContext("pods get no addresses of VFs yet"));
    return false;
  }
  std::string line = "this node's ordinal is " + std::to_string(claim->ordinal);
  if (claim->confirmed && before && *before != claim->ordinal) {
    line += ", no longer " + std::to_string(*before) +
            ": pods that were attached before keep their addresses until they end";
  }
  if (!claim->warning.empty()) line += ", and " + claim->warning;
  if (std::exchange(told_, line) != line) {
    if (claim->warning.empty() && (!before || *before == claim->ordinal)) {
      log_.info("agent", line);
    } else {
      log_.warning("agent", line);
    }
  }
  return claim->confirmed;
}

}  // namespace railhead::agent
