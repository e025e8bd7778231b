#include "src/tune/ledger.h"

#include <algorithm>
#include <utility>

namespace railhead::tune {

bool Condemned::reaches(const Size& size) const {
  return from.empty() || std::any_of(from.begin(), from.end(), [&](const Size& one) {
           return one.operation == size.operation && one.bytes <= size.bytes;
         });
}

Ledger::Ledger(const Space& space, Bench& bench, std::vector<TrialRecord> before, Seconds seconds,
               Keep keep)
    : space_(space),
      bench_(bench),
      before_(std::move(before)),
      seconds_(std::move(seconds)),
      keep_(std::move(keep)),
      liveSince_(seconds_()) {}

double Ledger::elapsedSeconds() const {
  return isReplaying() ? elapsedBefore_ : elapsedBefore_ + seconds_() - liveSince_;
}

// A search is a function of its seed and of what it measured, so the same requests come in the same
// order. Where they do not, the records passed over are of a course that this search does not take:
// its last validation, when it now has more time.
const TrialRecord* Ledger::replayed(const Setting& setting, std::span<const Size> sizes,
                                    int repetitions) {
  const auto found = std::find_if(
      before_.begin() + static_cast<std::ptrdiff_t>(next_), before_.end(),
      [&](const TrialRecord& record) {
        return record.setting == setting && record.repetitions == repetitions &&
               std::equal(record.sizes.begin(), record.sizes.end(), sizes.begin(), sizes.end());
      });
  const auto stop = static_cast<std::size_t>(found - before_.begin());
  for (; next_ < stop; ++next_) {
    const TrialRecord& passed = before_[next_];
    note(passed.setting, passed.sizes, passed.measurement);
  }
  if (found == before_.end()) {
    elapsedBefore_ = before_.back().elapsedSeconds;
    liveSince_ = seconds_();
    return nullptr;
  }
  elapsedBefore_ = found->elapsedSeconds;
  liveSince_ = seconds_();
  ++next_;
  return &*found;
}

void Ledger::note(const Setting& setting, std::span<const Size> sizes,
                  const Measurement& measurement) {
  if (measurement.outcome == Outcome::kMeasured) return;
  Condemned condemned{setting, measurement.outcome, measurement.detail, {}};
  if (measurement.outcome == Outcome::kHung && !space_.part(setting, Layer::kPerSize).isDefault()) {
    condemned.from.assign(sizes.begin(), sizes.end());
  }
  condemned_.push_back(std::move(condemned));
}

Result<Measurement> Ledger::measure(std::uint64_t trial, const Setting& setting,
                                    std::span<const Size> sizes, int repetitions) {
  if (isReplaying()) {
    const bool first = next_ == 0;
    if (const TrialRecord* record = replayed(setting, sizes, repetitions)) {
      note(setting, sizes, record->measurement);
      return record->measurement;
    }
    if (first) {
      return Error(ErrorCode::kInvalidArgument, "the records do not begin as this search does",
                   "resume with the objective, sizes, seed and hardware of the first run, or leave "
                   "the records out");
    }
  }
  RAILHEAD_TRY_ASSIGN(Measurement measurement, bench_.measure(setting, sizes, repetitions));
  RAILHEAD_TRY(checkMeasurement(measurement, sizes.size(), repetitions));
  note(setting, sizes, measurement);
  ++kept_;
  if (keep_) {
    RAILHEAD_TRY(keep_({trial,
                        elapsedSeconds(),
                        setting,
                        {sizes.begin(), sizes.end()},
                        repetitions,
                        measurement}));
  }
  return measurement;
}

bool Ledger::isCondemned(const Setting& setting, const Size& size) const {
  return std::any_of(condemned_.begin(), condemned_.end(), [&](const Condemned& one) {
    return one.reaches(size) && setting.contains(one.setting);
  });
}

bool Ledger::isCondemned(const Setting& setting) const {
  return std::any_of(condemned_.begin(), condemned_.end(), [&](const Condemned& one) {
    return one.from.empty() && setting.contains(one.setting);
  });
}

}  // namespace railhead::tune
