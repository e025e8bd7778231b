// The result of tuning one fabric, as one YAML file: what fabric, which environment and table, how
// much faster, and a hash over all of it. Pure functions; value types.
#pragma once

#include "src/base/result.h"
#include "src/tune/objective.h"
#include "src/tune/search.h"
#include "src/tune/setting.h"
#include "src/tune/size.h"
#include "src/tune/table.h"

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::tune {

struct NcclVersion {
  std::uint64_t major = 0;
  std::uint64_t minor = 0;
  std::uint64_t patch = 0;

  std::string text() const;                                           // "2.28.9"
  static std::optional<NcclVersion> parse(std::string_view version);  // exactly that form
  std::strong_ordering operator<=>(const NcclVersion&) const = default;
};

struct NcclVersions {  // both inclusive
  NcclVersion least;
  NcclVersion most;

  bool operator==(const NcclVersions&) const = default;
};

// A fabric, as far as settings depend on it. Texts are 1 to 128 letters, digits, spaces and
// "._:/,()+-", at most 64 in a list.
struct Fingerprint {
  std::vector<std::string> gpus;     // of a node, in order: "NVIDIA GB10"
  std::vector<std::string> nics;     // of a node, in order: "15b3:1021"
  std::vector<std::string> links;    // of a node, in order: "200 Gb/s"
  std::uint64_t mtu = 0;             // bytes, of the netdev
  std::uint64_t ranks = 0;           // at least nodes
  std::uint64_t nodes = 0;           // at least 1
  std::optional<NcclVersions> nccl;  // absent: the host backend

  bool operator==(const Fingerprint&) const = default;
};

struct ProfileSize {
  Size size;
  Setting setting;  // all of it, "default" when nothing beat that
  SizeResult result;

  bool operator==(const ProfileSize&) const = default;
};

struct Profile {
  Fingerprint fabric;
  Setting environment;  // of knobs that isEnvironmentKnob()
  std::vector<TableRow> table;
  ObjectiveKind objective = ObjectiveKind::kBandwidth;
  Gain gain;  // by the objective
  std::uint64_t seed = 0;
  std::uint64_t trials = 0;
  double seconds = 0;  // that the search took
  std::vector<ProfileSize> sizes;

  bool operator==(const Profile&) const = default;
};

inline constexpr std::size_t kMaxProfileRows = 2048;  // what fits a YAML file (src/config/field.h)

// Of a result that is settled; kInvalidArgument otherwise. A row of the table reaches half way
// (in octaves) to the sizes measured beside it, and one octave beyond the outermost: what was not
// measured is left to NCCL, and so are the sizes at which nothing beat it.
Result<Profile> makeProfile(const Fingerprint& fabric, const Objective& objective,
                            const SearchResult& result, std::uint64_t seed);

// SHA-256 over the file without its hash line.
std::string profileHash(const Profile& profile);

// The same bytes for the same profile. kInvalidArgument: something is out of bounds.
Result<std::string> writeProfile(const Profile& profile);

// Refuses fields it does not know. kInvalidArgument names `source`, line, field, value and what is
// allowed; kCorrupt: the hash is not that of the content.
Result<Profile> parseProfile(std::string_view text, const std::string& source);

// Whether the profile is of the fabric that is there, whose NCCL versions may be one or a range.
// kCheckFailed names the first field that differs, with both values.
Result<void> matches(const Profile& profile, const Fingerprint& there);

// A line for each difference in fabric, environment, table and gain: "environment NCCL_NTHREADS:
// 256 -> default".
std::vector<std::string> diff(const Profile& before, const Profile& after);

}  // namespace railhead::tune
