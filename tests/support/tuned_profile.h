// A small valid profile of a twin pair, for tests of what is done with one. The seed makes it
// another profile, with another hash.
#pragma once

#include "src/tune/profile.h"

#include <string>

namespace railhead::testing_support {

inline tune::Profile tunedProfile(std::uint64_t seed = 1) {
  tune::Profile profile;
  profile.fabric = {{"NVIDIA GB10"},
                    {"15b3:1021", "15b3:1021"},
                    {"200 Gb/s", "200 Gb/s"},
                    9000,
                    2,
                    2,
                    tune::NcclVersions{{2, 28, 3}, {2, 30, 7}}};
  profile.environment = *tune::Setting::parse("NCCL_NTHREADS=512");
  profile.table = {{"allreduce", 2, 2, 0, 65535, "tree", "ll", 0}};
  profile.seed = seed;
  return profile;
}

inline std::string profileText(const tune::Profile& profile) {
  return *tune::writeProfile(profile);
}

}  // namespace railhead::testing_support
