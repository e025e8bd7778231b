// The first line of a file of trial records: which search they are of. Pure functions; value types.
#pragma once

#include "src/base/result.h"
#include "src/tune/objective.h"
#include "src/tune/space.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace railhead::tune {

// What a resumed search must have in common with the one that wrote the records.
struct RecordsHeader {
  std::string space;      // SHA-256 over its knobs and limits
  std::string objective;  // its name, and a SHA-256 over its sizes and weights
  std::uint64_t seed = 0;
  std::string fabric;  // the caller's words for the hardware, at most kMaxFabric bytes
  static constexpr std::size_t kMaxFabric = 4096;

  bool operator==(const RecordsHeader&) const = default;
};

RecordsHeader headerOf(const Space& space, const Objective& objective, std::uint64_t seed,
                       std::string_view fabric);

// One line of JSON, with its end.
std::string encodeHeader(const RecordsHeader& header);

// The records behind the header: for decodeRecords(), from line 2 on (trial.h). Empty, too, for a
// header cut short when its writer was killed: then the file is begun anew. kInvalidArgument names
// `source` and what differs from `own`; kCorrupt: the first line is no header.
Result<std::string_view> checkHeader(std::string_view text, const RecordsHeader& own,
                                     const std::string& source);

}  // namespace railhead::tune
