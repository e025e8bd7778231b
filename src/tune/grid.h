// Every setting of a part of a space, measured: what a search is held against, and for those who
// want to see what it leaves out.
#pragma once

#include "src/base/result.h"
#include "src/tune/space.h"
#include "src/tune/trial.h"

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::tune {

// A knob that is varied, and to what; no values: to all that it has.
struct KnobChoice {
  std::string name;
  std::vector<std::string> values;

  bool operator==(const KnobChoice&) const = default;
};

// "channels" or "channels=2,8". kInvalidArgument.
Result<KnobChoice> parseKnobChoice(std::string_view text);

// The space with these knobs only. kInvalidArgument names a knob or value that the space has not,
// and a knob that needs another which is not among them.
Result<Space> narrowed(const Space& space, std::span<const KnobChoice> knobs);

struct Grid {
  struct Entry {
    Setting setting;
    Measurement measurement;
  };
  std::vector<Size> sizes;
  std::vector<Entry> entries;  // the default first
};

inline constexpr std::size_t kMaxGrid = 20'000;  // settings

struct GridHooks {
  std::function<bool()> stopped;                           // may be empty
  std::function<void(std::size_t, std::size_t)> progress;  // so many of so many are done; may be
                                                           // empty
};

// Takes the environments one after the other, so that ranks start once for each. kExhausted: the
// space has more than kMaxGrid settings; kUnavailable: stopped; otherwise the bench's own.
Result<Grid> measureGrid(const Space& space, std::span<const Size> sizes, Bench& bench,
                         int repetitions, const GridHooks& hooks);

// The document "railhead-grid 1" (docs/reference/tune.md). `about`: what it was measured on, for
// the reader.
std::string encode(const Grid& grid, std::string_view about);

}  // namespace railhead::tune
