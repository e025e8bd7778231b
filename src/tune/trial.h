// One measurement of one setting: the seam it is taken through, and its record, so that a search
// can be resumed.
#pragma once

#include "src/base/result.h"
#include "src/tune/setting.h"
#include "src/tune/size.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::tune {

enum class Outcome {
  kMeasured,
  kHung,     // not done before its deadline; killed on all ranks
  kCrashed,  // a rank ended, or the collective returned an error
  kCorrupt,  // wrong bytes
  kRefused,  // this setting cannot be run here
  kNoRoom,   // a size would not fit the memory; nothing ran. The detail ends with what would do
};
std::string_view outcomeName(Outcome outcome);  // "measured", "hung", ...

struct Measurement {
  Outcome outcome = Outcome::kMeasured;
  std::string detail;  // of an outcome other than kMeasured: what was seen
  // Seconds of one call, [size][repetition], positive and finite. Empty unless kMeasured: what a
  // setting did before it failed counts for nothing.
  std::vector<std::vector<double>> seconds;

  bool operator==(const Measurement&) const = default;
};

// Not thread-safe: one measurement at a time.
class Bench {
 public:
  virtual ~Bench() = default;

  // Runs every size `repetitions` times with `setting`, each under a deadline and with every byte
  // checked. What the setting does is the outcome; an Error means that nothing can be measured at
  // all (no ranks, no network), and ends the search. A setting that differs from the one before in
  // knobs of Layer::kPerSize only wants no new ranks.
  virtual Result<Measurement> measure(const Setting& setting, std::span<const Size> sizes,
                                      int repetitions) = 0;
};

inline constexpr std::size_t kMaxSizes = 256;
inline constexpr int kMaxRepetitions = 1000;
inline constexpr std::size_t kMaxOperation = 32;  // bytes of an operation's name
inline constexpr std::size_t kMaxDetail = 1024;
// The largest that encode() makes of these: a time is at most 24 characters and a comma, a byte of
// a text at most 6 (\u00ff), and what is left is for the names of the fields.
inline constexpr std::size_t kMaxRecordBytes =
    kMaxSizes * (std::size_t{kMaxRepetitions} * 25 + 6 * kMaxOperation + 128) +
    6 * (Setting::kMaxText + kMaxDetail) + 512;

struct TrialRecord {
  std::uint64_t trial = 0;    // the comparison it belongs to (search.h), from 1
  double elapsedSeconds = 0;  // since the search began, at its end
  Setting setting;
  std::vector<Size> sizes;
  int repetitions = 0;
  Measurement measurement;

  bool operator==(const TrialRecord&) const = default;
};

// What a Bench may return for such a request; kInternal names what does not hold.
Result<void> checkMeasurement(const Measurement& measurement, std::size_t sizes, int repetitions);

// One line of JSON, with its end.
std::string encode(const TrialRecord& record);
// kCorrupt names the field. Bounded.
Result<TrialRecord> decodeRecord(std::string_view line);
// Lines of encode(), at most kMaxRecords: a search ends before it has more. A last line with no end
// was cut short when its writer was killed, and is left out. kCorrupt names `source` and the line,
// counted from `firstLine`.
Result<std::vector<TrialRecord>> decodeRecords(std::string_view text, const std::string& source,
                                               std::size_t firstLine = 1);
inline constexpr std::size_t kMaxRecords = 100'000;

}  // namespace railhead::tune
