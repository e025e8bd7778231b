#include "src/kube/api/follow_collection.h"

#include <chrono>
#include <optional>

namespace railhead::kube {
namespace {

// A watch that lived that long was a success even when nothing happened.
constexpr std::chrono::seconds kGoodLife{10};

class Follower {
 public:
  Follower(ApiServer& api, const Collection& collection, CollectionListener& listener,
           PauseLimits pauses, const Cancel& cancel)
      : api_(api), collection_(collection), listener_(listener), pause_(pauses), cancel_(cancel) {}

  void run() {
    while (!cancel_.cancelled()) {
      const Next next = place_ ? watch() : list();
      if (next == Next::kPause && cancel_.waitFor(pause_.next())) return;
    }
  }

 private:
  enum class Next { kGoOn, kPause };

  Next list() {
    auto found = api_.list(collection_, cancel_);
    if (found.has_value()) {
      // Otherwise the pause stays as long as it is until a watch was of use: a server that lists
      // and then fails every watch is not asked for lists all the time.
      if (absences_ > 0) pause_.succeeded();
      absences_ = 0;
      known_ = true;
      listener_.listed(std::move(found->objects));
      place_ = std::move(found->resourceVersion);
      return Next::kGoOn;
    }
    if (found.error().code == ErrorCode::kNotFound) {
      if (++absences_ >= 2 || !known_) listener_.listed({});
      known_ = known_ && absences_ < 2;
      return Next::kPause;
    }
    absences_ = 0;
    fail(found.error());
    return Next::kPause;
  }

  Next watch() {
    bool useful = false;
    const auto begun = std::chrono::steady_clock::now();
    const auto ended = api_.watch(
        collection_, *place_,
        [&](const WatchEvent& event) -> Result<void> {
          useful = true;
          tell(event);
          return {};
        },
        cancel_);
    if (cancel_.cancelled()) return Next::kPause;
    useful = useful || std::chrono::steady_clock::now() - begun >= kGoodLife;
    if (useful) {
      pause_.succeeded();
      expiries_ = 0;
      lastFailure_.clear();
    }
    if (ended.has_value()) {
      if (*ended == WatchEnd::kClosed) return useful ? Next::kGoOn : Next::kPause;
      place_.reset();
      return ++expiries_ <= 1 ? Next::kGoOn : Next::kPause;
    }
    // A broken connection tells nothing about the place; an event that cannot be read does.
    const auto code = ended.error().code;
    const bool broken = code == ErrorCode::kUnavailable || code == ErrorCode::kDeadlineExceeded;
    if (!broken) place_.reset();
    // A watch that lived and broke is usual: an API server that restarts, a balancer.
    if (broken && useful) return Next::kGoOn;
    fail(ended.error());
    return Next::kPause;
  }

  void tell(const WatchEvent& event) {
    if (event.kind == WatchEventKind::kDeleted) {
      listener_.gone(event.object);
    } else if (event.kind != WatchEventKind::kBookmark) {
      listener_.changed(event.object);
    }
    place_ = event.resourceVersion;
  }

  void fail(const Error& error) {
    if (cancel_.cancelled() || error.message == lastFailure_) return;
    lastFailure_ = error.message;
    listener_.failed(error);
  }

  ApiServer& api_;
  const Collection& collection_;
  CollectionListener& listener_;
  RetryPause pause_;
  const Cancel& cancel_;
  std::optional<std::string> place_;  // resourceVersion to watch from
  bool known_ = false;                // a list was told
  int absences_ = 0;                  // 404 in a row
  int expiries_ = 0;                  // 410 in a row
  std::string lastFailure_;
};

}  // namespace

void followCollection(ApiServer& api, const Collection& collection, CollectionListener& listener,
                      PauseLimits pauses, const Cancel& cancel) {
  Follower(api, collection, listener, pauses, cancel).run();
}

}  // namespace railhead::kube
