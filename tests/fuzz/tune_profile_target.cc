#include "src/tune/export.h"
#include "src/tune/profile.h"
#include "tests/fuzz/promise.h"
#include "tests/fuzz/targets.h"

namespace railhead::fuzz {

bool tuneProfile(std::string_view input) {
  const auto profile = tune::parseProfile(input, "profile");
  if (!taken(profile)) return false;
  const auto written = tune::writeProfile(*profile);
  must(written.has_value(), "a profile that was read can be written");
  const auto again = tune::parseProfile(*written, "profile");
  must(again.has_value() && *again == *profile, "and read again as it was");
  must(tune::profileHash(*again) == tune::profileHash(*profile), "under the same hash");
  const auto table = tune::tunerTable(*profile);
  must(table.has_value(), "and has a table");
  must(tune::parseTable(*table, "table").has_value(), "that can be read");
  must(tune::configMap(*profile, "profile", "").has_value(), "and stands in a ConfigMap");
  return true;
}

}  // namespace railhead::fuzz
